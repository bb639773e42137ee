while read -r line; do
  id=$(printf %s "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
  case "$line" in
    *'"initialize"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"n","version":"1"}}}\n' "$id";;
    *'"tools/call"'*)
      data=closed; if cat "$DATA" >/dev/null 2>&1; then data=open; fi
      parent=closed; if cat "/proc/$PPID/environ" >/dev/null 2>&1; then parent=open; fi
      printf '{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"%s|%s|%s|%s|%s"}]}}\n' "$id" "$(id -u)" "$(id -G)" "$HOME" "$data" "$parent";;
  esac
done
