# The control plane as its unit starts it: the same command line, as a user who owns nothing but the state.
. /smoke/lib.sh
unit=/usr/lib/systemd/system/deskgate-control.service
[ "$(deskgate-control --version)" = "deskgate-control $1" ] || fail "deskgate-control says that it is $(deskgate-control --version)"
[ "$(stat -c '%U %a' /etc/deskgate/control)" = 'root 700' ] || fail "the folder of keys is open"
[ "$(stat -c '%U %a' /etc/deskgate/control/environment)" = 'root 600' ] || fail "the environment is open"
gzip -t /usr/share/man/man1/deskgate-control.1.gz /usr/share/man/man1/deskgate-control-bundle-sign.1.gz || fail "no man pages"
(
    . /usr/share/bash-completion/completions/deskgate-control
    complete -p deskgate-control >/dev/null
) || fail "bash does not complete"
ok "files of the control plane"

cd /etc/deskgate/control
rm -f master.key receipts.pem receipts.pem.pub
deskgate-control key master master.key >/dev/null
deskgate-control key new receipts.pem >/dev/null
# As systemd does it: the keys are handed to the service's own user, who owns nothing else.
install -d -o nobody -m 700 /run/credentials /var/lib/deskgate-control
install -o nobody -m 400 master.key receipts.pem /run/credentials
sed -n 's/^ExecStart=/exec /p' "$unit" >/tmp/start
[ -s /tmp/start ] || fail "the unit starts nothing"
SERVE_OPTIONS='--metrics 127.0.0.1:9700' CREDENTIALS_DIRECTORY=/run/credentials HOME=/ \
    setpriv --reuid nobody --regid nogroup --clear-groups --no-new-privs bash /tmp/start >/tmp/control.log 2>&1 &
control=$!
trap '[ $? = 0 ] || cat /tmp/control.log >&2' EXIT
until_it "the control plane's health" answers 200 9700 GET /healthz
[ -S /var/lib/deskgate-control/admin.sock ] || fail "administrators have no socket"
# It fails as long as nothing is published, and says so.
said=$(DESKGATE_CONTROL_SOCKET=/var/lib/deskgate-control/admin.sock deskgate-control status 2>&1 || true)
[ "$said" = 'Nothing is published yet.' ] || fail "root is not answered: $said"
ok "an administrator is answered"
kill -TERM "$control"
wait "$control" || fail "it did not end in order"
ok "the end"
