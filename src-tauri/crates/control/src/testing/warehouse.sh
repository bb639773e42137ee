while read -r line; do
  id=$(printf %s "$line" | sed -n 's/.*"id":\([0-9]*\).*/\1/p')
  sql=$(printf %s "$line" | sed -n 's/.*"sql":"\([^"]*\)".*/\1/p')
  case "$line" in
    *'"initialize"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"w","version":"1"}}}\n' "$id";;
    *'"crash"'*) echo "dying with $DSN" >&2; exit 1;;
    *'"sql":"sleep"'*) sleep 600;;
    *'"sql":"wait '*) gate=${sql#wait }; : >"$gate.begun"; until [ -e "$gate" ]; do sleep 0.05; done
      printf '{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"waited"}]}}\n' "$id";;
    *'"sql":"tell'*) token=$(printf %s "$line" | sed -n 's/.*"progressToken":\([0-9]*\).*/\1/p')
      printf '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":1,"message":"as %s"}}\n' "$token" "$DSN"
      case "$sql" in *die) exit 1;; esac
      printf '{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"told"}]}}\n' "$id";;
    *'"tools/list"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"tools":[]}}\n' "$id";;
    *'"query"'*) printf '{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"%s as %s in %s"}],"n":12345678901234567890123}}\n' "$id" "$sql" "$DSN" "$$";;
  esac
done
