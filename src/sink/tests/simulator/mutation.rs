//! What a step that the protocol takes is there for: each mutation leaves one out, or undoes it, at the border between the protocol and the
//! models, and the simulator has to notice.

/// What is done otherwise than the protocol says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// A block is taken for stored because the insert says so.
    CountIsSkipped,
    /// The offset moves on before the block is inserted.
    CommitComesBeforeInsert,
    /// What an earlier sink is still inserting goes on.
    LeftoversGoOn,
    /// A block is cut anew after a takeover, whatever was intended.
    IntentIsIgnored,
    /// What an earlier sink has read is inserted as if it were new.
    NothingIsLookedUpAfterATakeover,
    /// A repair has the token of the insert whose rows were lost.
    RepairRepeatsTheToken,
    /// Each try has a token of its own.
    EachTryHasItsToken,
    /// A token tells which of a block's scans a try brings, of all its months together.
    TokenIsOfTheTry,
    /// The broker takes commits of any generation.
    ZombiesAreNotFenced,
    /// A partition is given away while a commit of it is on its way.
    CommitsAreNotWaitedFor,
    /// A block that is found to be stored is settled without its headers and dead records.
    FoundBlocksLeaveNoHeaders,
    /// The batches between the saved positions and the committed offset are not folded.
    FoldIsSkipped,
    /// A delivery acknowledges all that was sent before it, too.
    LaterDeliveryAcknowledgesEarlier,
    /// A batch that failed counts as delivered.
    FailureIsTakenForDelivery,
}

impl Mutation {
    pub const ALL: [Self; 14] = [
        Self::CountIsSkipped,
        Self::CommitComesBeforeInsert,
        Self::LeftoversGoOn,
        Self::IntentIsIgnored,
        Self::NothingIsLookedUpAfterATakeover,
        Self::RepairRepeatsTheToken,
        Self::EachTryHasItsToken,
        Self::TokenIsOfTheTry,
        Self::ZombiesAreNotFenced,
        Self::CommitsAreNotWaitedFor,
        Self::FoundBlocksLeaveNoHeaders,
        Self::FoldIsSkipped,
        Self::LaterDeliveryAcknowledgesEarlier,
        Self::FailureIsTakenForDelivery,
    ];
}
