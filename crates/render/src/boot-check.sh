#!/bin/bash
# Ends well when kubelet says that it is healthy, or has no credentials to run with: what is judged is this version of the image,
# neither the cluster nor the seed. Who waits for it sets the time limit.
host=127.0.0.1 port=10248
while IFS=': ' read -r key value _; do
  value=${value//[\"\']/}
  case $key in
    healthzBindAddress) host=$value ;;
    healthzPort) port=$value ;;
  esac
done </var/lib/kubelet/config.yaml

healthy() {
  # No port is no answer: then it is enough that it runs.
  [ "$port" != 0 ] || exec systemctl --quiet is-active kubelet.service
  exec 3<>"/dev/tcp/$host/$port" || return
  printf 'GET /healthz HTTP/1.0\r\n\r\n' >&3
  [[ $(tr -d '\r' <&3) == *$'\n\nok' ]]
}

until (healthy) 2>/dev/null; do
  if [ "$(systemctl show --property=ConditionResult --value kubelet.service)" = no ]; then
    echo 'kubelet has no credentials and is not asked'
    exit
  fi
  sleep 1
done
