# The tray application on a display of its own: it shows its window, owns the folder, and ends when it is told to.
. /smoke/lib.sh
export DESKGATE_HOME=/tmp/desktop-home HOME=/root XDG_RUNTIME_DIR=/tmp/run
rm -rf "$DESKGATE_HOME" "$XDG_RUNTIME_DIR"
mkdir -m 700 "$DESKGATE_HOME" "$XDG_RUNTIME_DIR"
if [ "${1-}" != inside ]; then
    exec xvfb-run --auto-servernum dbus-run-session -- bash /smoke/desktop.sh inside
fi

deskgate-desktop >/tmp/desktop.log 2>&1 &
desktop=$!
trap '[ $? = 0 ] || cat /tmp/desktop.log >&2' EXIT
has_window() { xwininfo -root -tree | grep -q '"Deskgate.*("deskgate-desktop"'; }
until_it "the window" has_window
until_it "an answer on its socket" deskgate status --json
# A second start hands over and ends.
deskgate-desktop || fail "a second start failed"
ok "a second start hands over"
deskgate quit >/dev/null
wait "$desktop" || fail "the desktop did not end in order"
ok "the end"
