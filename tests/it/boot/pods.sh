# shellcheck shell=bash
# Queries static pods of preloaded images. Runs in the guest before `questions.sh`, which calls `ask_pods`.

# kubelet's pods as JSON.
pods() {
  exec 3<>/dev/tcp/127.0.0.1/10255 || return
  printf 'GET /pods HTTP/1.0\r\n\r\n' >&3
  cat <&3
}

# The value of KEY in kubelet's status of pod NAME, if it exists and matches PATTERN.
of_pod() {
  local name=$1 key=$2 pattern=$3 text
  text=$(pods 2>/dev/null)
  [[ $text == *"\"metadata\":{\"name\":\"$name-"* ]] || return
  text=${text#*"\"metadata\":{\"name\":\"$name-"}
  # The next pod has the fields that this one may not have yet.
  text=${text%%"\"metadata\":{\"name\":"*}
  [[ $text =~ \"$key\":\"?($pattern) ]] && echo "${BASH_REMATCH[1]}"
}

# Runs a command every half second until it prints something, for at most two minutes.
patiently() {
  local said end=$((SECONDS + 120))
  until said=$("$@") && [ -n "$said" ]; do
    ((SECONDS < end)) || { echo "in vain: $*"; return 1; }
    sleep 0.5
  done
  echo "$said"
}

# Writes the manifest of a pod NAME with one container of the preloaded image; its arguments and ports are YAML.
static_pod() {
  # kubelet parses a file that begins with a brace as JSON.
  printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: %s}\nspec: {containers: [{name: main, image: "registry.test/busybox:1", args: %s, ports: %s}]}\n' \
    "$1" "$2" "$3" >"/run/$1.yaml"
  mv "/run/$1.yaml" /etc/kubernetes/manifests/
}

# The last line that the client printed and that matches PATTERN.
client_saw() {
  local line found
  while read -r _ _ _ line; do
    # shellcheck disable=SC2053
    [[ $line == $1 ]] && found=$line
  done < <(cat /var/log/pods/default_client-*/main/0.log 2>/dev/null)
  echo "$found"
}

rotated() { compgen -G '/var/log/pods/default_client-*/main/0.log.*' | head -1; }

restarted() { of_pod web restartCount '[1-9][0-9]*'; }

ask_pods() {
  local before after pid node
  report unit-images "$(systemctl is-active kiln-images.service)" "$(systemctl show -P Result kiln-images.service)"
  while read -r name _ digest _ _ labels; do report image "$name" "$digest" "$labels"; done < <(ctr -n k8s.io images ls | tail -n +2)
  while read -r name digest; do report listed "$name" "$digest"; done </usr/lib/kiln/images/list
  # Another check covers its messages about deprecations.
  report again "$(/usr/lib/kiln/images/import 2>/dev/null)"

  node=$(ip -4 -o addr show scope global | while read -r _ name _ address _; do [ "$name" = cbr0 ] || echo "${address%/*}"; done | head -1)
  mkdir -p /etc/kubernetes/manifests
  static_pod web '[httpd, -f, -p, "8080", -h, /etc]' '[{containerPort: 8080, hostPort: 18080}]'
  before=$(patiently of_pod web podIP '[0-9.]+')
  report address "$before"
  static_pod client "[sh, -c, \"while :; do echo pod \$(/bin/busybox wget -T 5 -qO- http://$before:8080/hostname 2>&1), node \$(/bin/busybox wget -T 5 -qO- http://$node:18080/hostname 2>&1); /bin/busybox sleep 1; done\"]" '[]'
  report client-address "$(patiently of_pod client podIP '[0-9.]+')"
  report client "$(patiently client_saw 'pod web-*, node web-*')"

  report restarts "$(of_pod web restartCount '[0-9]+')"
  id=$(of_pod web containerID 'containerd://[0-9a-f]+')
  pid=$(ctr -n k8s.io tasks ls | while read -r task pid _; do [ "$task" != "${id#*//}" ] || echo "$pid"; done)
  kill -9 "$pid"
  report restarted "$(patiently restarted)"
  after=$(of_pod web podIP '[0-9.]+')
  report address-kept "$([ "$before" = "$after" ] && echo yes)"
  report rotated "$(patiently rotated)"
  # From the new log and the new container.
  report client-after "$(patiently client_saw 'pod web-*, node web-*')"

  while read -r line; do report client-log "$line"; done < <(tail -n 3 /var/log/pods/default_client-*/main/0.log)

  # Restarting the service restores a removed image.
  ctr -n k8s.io images rm registry.test/busybox:1 >/dev/null
  systemctl restart kiln-images.service
  report restored "$(ctr -n k8s.io images ls -q name==registry.test/busybox:1)"
}
