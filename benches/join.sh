# A join by hand, as kubeadm's documents describe it, with curl and openssl: port, pin, token, node, directory for what a node keeps.
set -euo pipefail
port=$1 pin=$2 token=$3 node=$4 at=$5
api=https://127.0.0.1:$port info=api/v1/namespaces/kube-public/configmaps/cluster-info
csrs=apis/certificates.k8s.io/v1/certificatesigningrequests
url() { base64 -w0 | tr '+/' '-_' | tr -d =; }
field() { sed -n 's/.*"'"$1"'":"\(\([^"\\]\|\\.\)*\)".*/\1/p'; }

# 1: who is the cluster? Its signature by the token, its authority by the pin.
curl -sSk -H 'Accept: application/json' "$api/$info" >"$at/info"
kubeconfig=$(printf '%b.' "$(field kubeconfig <"$at/info")") && kubeconfig=${kubeconfig%.}
header=$(printf '{"alg":"HS256","kid":"%s"}' "${token%.*}" | url)
mac=$(printf '%s.%s' "$header" "$(printf %s "$kubeconfig" | url)" | openssl dgst -sha256 -hmac "${token#*.}" -binary | url)
test "$(field "jws-kubeconfig-${token%.*}" <"$at/info")" = "$header..$mac"
sed -n 's/.*certificate-authority-data: //p' <<<"$kubeconfig" | base64 -d >"$at/ca.crt"
found=$(openssl x509 -in "$at/ca.crt" -pubkey -noout | openssl pkey -pubin -outform der | sha256sum)
test "sha256:${found%% *}" = "$pin"
# 2: the same from a server of that authority.
curl -sS --cacert "$at/ca.crt" -H 'Accept: application/json' "$api/$info" | field kubeconfig | grep -qF "$(field kubeconfig <"$at/info")"
# 3: a key, a request, a certificate.
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$at/key.pem"
request=$(openssl req -new -key "$at/key.pem" -subj "/O=system:nodes/CN=system:node:$node" | base64 -w0)
bearer="Authorization: Bearer $token"
curl -sSf -o "$at/csr" --cacert "$at/ca.crt" -H "$bearer" -H 'Content-Type: application/json' "$api/$csrs" -d '{"apiVersion":"certificates.k8s.io/v1",
"kind":"CertificateSigningRequest","metadata":{"name":"by-hand-'"$node"'"},"spec":{"request":"'"$request"'",
"signerName":"kubernetes.io/kube-apiserver-client-kubelet","usages":["digital signature","key encipherment","client auth"]}}'
watch="$api/$csrs?watch=1&timeoutSeconds=60&fieldSelector=metadata.name%3Dby-hand-$node"
(curl -sSN --cacert "$at/ca.crt" -H "$bearer" "$watch" || true) | sed -n '/"certificate":"/{s/.*"certificate":"\([^"]*\)".*/\1/p;q}' | base64 -d >"$at/client.pem"
openssl verify -CAfile "$at/ca.crt" "$at/client.pem" >"$at/verified"
cat "$at/key.pem" >>"$at/client.pem"
printf 'apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: "%s", certificate-authority: ca.crt}}]\n' "$api" >"$at/kubelet.conf"
sync "$at/client.pem" "$at/kubelet.conf"
