//! The outlines of a symbol's dark areas, so that vector renderings have no seams between modules.
//!
//! Modules drawn one by one, or row by row, touch along edges that renderers without `crispEdges` (print, PDF)
//! show as hairlines. An outline has edges only where dark meets light.

use crate::symbol::Symbol;

/// One closed outline: its first corner (column, row), then straight steps from corner to corner.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outline {
    pub(crate) start: (i64, i64),
    pub(crate) steps: Vec<(i64, i64)>,
}

/// Directions in clockwise order as drawn, rows growing downwards.
const DIRECTIONS: [(i64, i64); 4] = [(1, 0), (0, 1), (-1, 0), (0, -1)];
const RIGHT: usize = 0;

/// All outlines: clockwise around dark areas, counter-clockwise around light holes, so that the nonzero and the
/// even-odd fill rules give the same picture.
pub(crate) fn outlines(symbol: &Symbol) -> Vec<Outline> {
    let mut edges = Edges::of(symbol);
    let corners = 0..=i64::from(symbol.modules());
    let mut outlines = Vec::new();
    // Every closed outline has an edge to the right.
    for row in corners.clone() {
        for column in corners.clone() {
            if edges.take((column, row), RIGHT) {
                outlines.push(follow(&mut edges, (column, row)));
            }
        }
    }
    outlines
}

/// Follows an outline whose first edge, to the right from `start`, is already taken. As many edges leave a corner
/// as enter it, so it can only end where it began.
fn follow(edges: &mut Edges, start: (i64, i64)) -> Outline {
    let mut at = (start.0 + 1, start.1);
    let mut steps = vec![DIRECTIONS[RIGHT]];
    let mut direction = RIGHT;
    // Where two dark modules touch by a corner, turning right keeps to the same module.
    while let Some(next) = [1, 0, 3]
        .map(|turn| (direction + turn) % 4)
        .into_iter()
        .find(|&to| edges.take(at, to))
    {
        let (columns, rows) = DIRECTIONS[next];
        match steps.last_mut() {
            Some(last) if next == direction => *last = (last.0 + columns, last.1 + rows),
            _ => steps.push((columns, rows)),
        }
        direction = next;
        at = (at.0 + columns, at.1 + rows);
    }
    Outline { start, steps }
}

/// The edges between dark and light, directed so that dark lies to their right: a bit for each direction that
/// leaves a corner.
struct Edges {
    corners: i64,
    leaving: Vec<u8>,
}

impl Edges {
    fn of(symbol: &Symbol) -> Self {
        let modules = i64::from(symbol.modules());
        let corners = modules + 1;
        let mut edges = Self {
            corners,
            leaving: vec![0; (symbol.modules() as usize + 1).pow(2)],
        };
        for row in 0..modules {
            for column in (0..modules).filter(|&column| symbol.is_dark(column, row)) {
                let around = [
                    (column, row),
                    (column + 1, row),
                    (column + 1, row + 1),
                    (column, row + 1),
                ];
                let neighbours = [
                    (column, row - 1),
                    (column + 1, row),
                    (column, row + 1),
                    (column - 1, row),
                ];
                for (direction, (corner, neighbour)) in
                    around.into_iter().zip(neighbours).enumerate()
                {
                    if !symbol.is_dark(neighbour.0, neighbour.1) {
                        *edges.at(corner) |= 1 << direction;
                    }
                }
            }
        }
        edges
    }

    /// Removes the edge that leaves `corner` in `direction`; false when there is none.
    fn take(&mut self, corner: (i64, i64), direction: usize) -> bool {
        let leaving = self.at(corner);
        let found = *leaving & 1 << direction != 0;
        *leaving &= !(1 << direction);
        found
    }

    fn at(&mut self, (column, row): (i64, i64)) -> &mut u8 {
        let index =
            usize::try_from(row * self.corners + column).expect("corners lie on the symbol");
        &mut self.leaving[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbol::ErrorCorrection;

    /// Crossings to the left of a module's centre: odd inside an outline.
    fn is_inside(outlines: &[Outline], column: i64, row: i64) -> bool {
        let mut crossings = 0;
        for outline in outlines {
            let (mut x, mut y) = outline.start;
            for (columns, rows) in &outline.steps {
                let between = y.min(y + rows)..y.max(y + rows);
                crossings += usize::from(x <= column && between.contains(&row));
                (x, y) = (x + columns, y + rows);
            }
        }
        crossings % 2 == 1
    }

    #[test]
    fn the_outlines_enclose_exactly_the_dark_modules() {
        for text in [
            "A",
            "https://qr.example.com/outline",
            &"0123456789".repeat(40),
        ] {
            let symbol = Symbol::encode(text, ErrorCorrection::Q).unwrap();
            let outlines = outlines(&symbol);
            for row in -1..=i64::from(symbol.modules()) {
                for column in -1..=i64::from(symbol.modules()) {
                    assert_eq!(
                        is_inside(&outlines, column, row),
                        symbol.is_dark(column, row),
                        "{column}, {row}"
                    );
                }
            }
        }
    }

    #[test]
    fn every_outline_is_closed_and_turns_at_every_step() {
        let symbol = Symbol::encode("https://qr.example.com/closed", ErrorCorrection::M).unwrap();
        for Outline { steps, .. } in outlines(&symbol) {
            assert_eq!(
                steps
                    .iter()
                    .fold((0, 0), |sum, step| (sum.0 + step.0, sum.1 + step.1)),
                (0, 0)
            );
            assert!(
                steps
                    .windows(2)
                    .all(|pair| (pair[0].0 == 0) != (pair[1].0 == 0)),
                "{steps:?}"
            );
        }
    }
}
