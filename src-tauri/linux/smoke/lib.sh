# What the checks share. They run in a Debian root that has nothing but the package, so they use bash and nothing else.
set -euo pipefail

ok() { echo "ok: $*"; }

fail() {
    echo "FAILED: $*" >&2
    exit 1
}

# Waits until a command succeeds; WHAT says what is waited for.
until_it() {
    local what=$1 end=$((SECONDS + 90))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || fail "$what did not come"
        sleep 0.1
    done
    ok "$what"
}

# Sends a request on loopback and prints the whole answer.
http() {
    local port=$1 method=$2 path=$3 body=${4-}
    exec 3<>"/dev/tcp/127.0.0.1/$port"
    printf '%s %s HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nConnection: close\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: %s\r\n\r\n%s' \
        "$method" "$path" "$port" "${#body}" "$body" >&3
    cat <&3
    exec 3>&-
}

# Whether an answer has this status.
answers() {
    local status=$1
    shift
    [[ $(http "$@") == "HTTP/1.1 $status"* ]]
}
