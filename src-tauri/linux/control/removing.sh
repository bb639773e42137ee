# Before removing: it ends, in order, and does not start again.
if [ -d /run/systemd/system ]; then
    systemctl disable --now deskgate-control.service || true
fi
