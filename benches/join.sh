#!/bin/bash
# Does the work of kiln-agent from the network to kubelet.conf with curl, openssl and jq:
#
#   join.sh SERVER TOKEN PIN NODE DIRECTORY
# The same requests and checks; it does not search for seeds, wait, log, or sync files to survive
# a power cut.
set -euo pipefail
server=$1 token=$2 pin=$3 node=$4 directory=$5
cd "$directory"
url=https://$server
info=$url/api/v1/namespaces/kube-public/configmaps/cluster-info
requests=$url/apis/certificates.k8s.io/v1/certificatesigningrequests
get() { curl --silent --show-error --fail --max-time 30 "$@"; }
url64() { base64 --wrap 0 | tr '+/' '-_' | tr -d '='; }

# Discovery: checks the signature by the token and the pin of the authority, and repeats the request
# over TLS with that authority.
get --insecure "$info" >untrusted.json
jq --join-output .data.kubeconfig untrusted.json >kubeconfig
signature=$(jq --raw-output ".data[\"jws-kubeconfig-${token%.*}\"]" untrusted.json)
signed=$(openssl dgst -sha256 -hmac "${token#*.}" -binary < <(printf '%s.' "${signature%%.*}" && url64 <kubeconfig) | url64)
[ "$signed" = "${signature##*.}" ]
sed -n 's/.*certificate-authority-data: //p' kubeconfig | base64 --decode >ca.crt
[ "sha256:$(openssl x509 -in ca.crt -pubkey -noout | openssl pkey -pubin -outform der | sha256sum | cut -c -64)" = "$pin" ]
get --cacert ca.crt "$info" >trusted.json
cmp --silent kubeconfig <(jq --join-output .data.kubeconfig trusted.json)

# The request. Not every cluster lets a bootstrap token read Nodes; the agent tries anyway.
curl --silent --cacert ca.crt --header "Authorization: Bearer $token" --output /dev/null "$url/api/v1/nodes/$node"
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem 2>/dev/null
openssl req -new -key key.pem -subj "/O=system:nodes/CN=system:node:$node" -out request.pem
name=bench-$node
jq --null-input --arg name "$name" --arg request "$(base64 --wrap 0 request.pem)" '{apiVersion: "certificates.k8s.io/v1",
  kind: "CertificateSigningRequest", metadata: {name: $name}, spec: {request: $request,
  signerName: "kubernetes.io/kube-apiserver-client-kubelet", usages: ["digital signature", "key encipherment", "client auth"]}}' |
  get --cacert ca.crt --header "Authorization: Bearer $token" --json @- --output created.json "$requests"
while certificate=$(get --cacert ca.crt --header "Authorization: Bearer $token" "$requests/$name" | jq --raw-output '.status.certificate // ""'); do
  [ -z "$certificate" ] || break
done

# The certificate is for this node and this key, and issued by the cluster's authority.
base64 --decode <<<"$certificate" >certificate.pem
openssl verify -CAfile ca.crt -purpose sslclient certificate.pem >/dev/null
[ "$(openssl x509 -in certificate.pem -noout -subject -nameopt RFC2253)" = "subject=CN=system:node:$node,O=system:nodes" ]
cmp --silent <(openssl x509 -in certificate.pem -pubkey -noout) <(openssl pkey -in key.pem -pubout)
cat certificate.pem key.pem >kubelet-client-current.pem
printf '%s' "server: $url" >kubelet.conf
