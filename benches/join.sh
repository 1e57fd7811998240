#!/bin/bash
# What kiln-agent does between the network and kubelet.conf, by curl, openssl and jq: join.sh SERVER TOKEN PIN NODE DIRECTORY
#
# The same requests and the same checks; nothing is looked for, waited for or said, and nothing is made to outlive a power cut.
set -euo pipefail
server=$1 token=$2 pin=$3 node=$4 directory=$5
cd "$directory"
url=https://$server
info=$url/api/v1/namespaces/kube-public/configmaps/cluster-info
requests=$url/apis/certificates.k8s.io/v1/certificatesigningrequests
get() { curl --silent --show-error --fail --max-time 30 "$@"; }
url64() { base64 --wrap 0 | tr '+/' '-_' | tr -d '='; }

# Discovery: signed by the token, with the pinned authority, then once more over TLS with that.
get --insecure "$info" >untrusted.json
jq --join-output .data.kubeconfig untrusted.json >kubeconfig
signature=$(jq --raw-output ".data[\"jws-kubeconfig-${token%.*}\"]" untrusted.json)
signed=$(openssl dgst -sha256 -hmac "${token#*.}" -binary < <(printf '%s.' "${signature%%.*}" && url64 <kubeconfig) | url64)
[ "$signed" = "${signature##*.}" ]
sed -n 's/.*certificate-authority-data: //p' kubeconfig | base64 --decode >ca.crt
[ "sha256:$(openssl x509 -in ca.crt -pubkey -noout | openssl pkey -pubin -outform der | sha256sum | cut -c -64)" = "$pin" ]
get --cacert ca.crt "$info" >trusted.json
cmp --silent kubeconfig <(jq --join-output .data.kubeconfig trusted.json)

# The request. A bootstrap token may not read Nodes of its name everywhere; the agent asks all the same.
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

# The certificate is this node's, by the cluster's authority, for this key.
base64 --decode <<<"$certificate" >certificate.pem
openssl verify -CAfile ca.crt -purpose sslclient certificate.pem >/dev/null
[ "$(openssl x509 -in certificate.pem -noout -subject -nameopt RFC2253)" = "subject=CN=system:node:$node,O=system:nodes" ]
cmp --silent <(openssl x509 -in certificate.pem -pubkey -noout) <(openssl pkey -in key.pem -pubout)
cat certificate.pem key.pem >kubelet-client-current.pem
printf '%s' "server: $url" >kubelet.conf
