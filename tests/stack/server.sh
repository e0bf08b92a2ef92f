# Sourced: how one server that lives in a folder of its own (its data, port, log and pid) is started, found again and ended.

fail() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# A port that is free now and stays free while its server is down: below the range from which the kernel takes the ports
# of outgoing connections, where a client that reconnects in a loop could otherwise end up connected to itself.
free_port() {
  python3 - <<'PYTHON'
import random, socket
with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
    first_outgoing = int(f.read().split()[0])
candidates = list(range(max(1024, first_outgoing - 12000), first_outgoing)) or list(range(61000, 65536))
random.shuffle(candidates)
for port in candidates:
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            continue
    print(port)
    break
PYTHON
}

# Prints the pid of the server that runs in folder $1; fails when none does. The working folder is compared too, because
# the pid in the file may by now belong to another process.
running() {
  local pid
  pid=$(cat "$1/pid" 2>/dev/null) || return 1
  [[ -n $pid && $(readlink "/proc/$pid/cwd" 2>/dev/null) == "$1" ]] || return 1
  printf '%s\n' "$pid"
}

# launch FOLDER COMMAND...: in the background, in a session of its own, so that Ctrl-C reaches the tests but not the
# servers which they still need for shutting down.
launch() {
  local folder=$1
  shift
  (
    cd "$folder"
    setsid "$@" </dev/null >>log 2>&1 &
    printf '%s\n' "$!" >pid
  )
}

# await FOLDER SECONDS WHAT COMMAND...: until COMMAND succeeds; fails early, with the end of the log, when the server has ended.
await() {
  local folder=$1 deadline=$((SECONDS + $2)) what=$3
  shift 3
  until "$@" >/dev/null 2>&1; do
    if ! running "$folder" >/dev/null; then
      tail -n 20 "$folder/log" >&2
      fail "$what has ended while starting; its log is $folder/log"
    fi
    if ((SECONDS > deadline)); then
      tail -n 20 "$folder/log" >&2
      fail "$what does not answer; its log is $folder/log"
    fi
    sleep 0.2
  done
}

# end FOLDER SIGNAL: sends it and waits until the server is gone; a server that ignores it for 20 s is killed.
end() {
  local folder=$1 deadline=$((SECONDS + 20)) pid
  if pid=$(running "$folder"); then
    kill "-$2" "$pid" 2>/dev/null || true
    while running "$folder" >/dev/null; do
      if ((SECONDS > deadline)); then kill -KILL "$pid" 2>/dev/null || true; fi
      sleep 0.05
    done
  fi
  rm -f "$folder/pid"
}
