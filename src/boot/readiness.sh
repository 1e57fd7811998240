uptime() { read -r seconds _ </proc/uptime; echo "$seconds"; }
until systemctl --quiet is-active containerd.service; do sleep 0.2; done
echo "containerd $(uptime)"
healthz() {
  exec 3<>/dev/tcp/127.0.0.1/10248 || return
  printf 'GET /healthz HTTP/1.0\r\n\r\n' >&3
  [[ $(<&3 tr -d '\r') == *$'\n\nok' ]]
}
until (healthz) 2>/dev/null; do sleep 0.2; done
echo "kubelet $(uptime)"
