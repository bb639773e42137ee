# The command line, in a root where nothing else was installed than the package and what it depends on.
. /smoke/lib.sh
version=$1
export DESKGATE_HOME=/tmp/home HOME=/root
rm -rf "$DESKGATE_HOME"
mkdir -m 700 "$DESKGATE_HOME"

[ "$(deskgate --version)" = "deskgate $version" ] || fail "deskgate says that it is $(deskgate --version)"
ok "deskgate --version"

# It may find things to mend, such as a missing keychain; it has to look at everything and say so in JSON.
deskgate doctor --json >/tmp/doctor.json || true
ok "deskgate doctor"

cat >"$DESKGATE_HOME/deskgate.toml" <<'SETTINGS'
[connectors.none]
title = "None"
command = ["/bin/false"]

[servers.desk]
title = "Desk"
connectors = ["none"]
SETTINGS
deskgate serve >/tmp/serve.log 2>&1 &
serving=$!
trap '[ $? = 0 ] || cat /tmp/serve.log >&2' EXIT
until_it "the gateway's port" test -s "$DESKGATE_HOME/port"
port=$(<"$DESKGATE_HOME/port")
until_it "the virtual server's metadata" answers 200 "$port" GET /.well-known/oauth-protected-resource/s/desk/mcp
initialize='{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"smoke","version":"1"}}}'
answer=$(http "$port" POST /s/desk/mcp "$initialize")
[[ $answer == "HTTP/1.1 401"* ]] || fail "an assistant without a token was not refused: $answer"
[[ ${answer,,} == *"resource_metadata="* ]] || fail "the refusal does not say where to get one: $answer"
ok "an MCP initialize without a token is refused, with the resource's metadata"
deskgate status --json >/dev/null
deskgate quit >/dev/null
wait "$serving" || fail "deskgate serve did not end in order"
ok "deskgate status and quit"
