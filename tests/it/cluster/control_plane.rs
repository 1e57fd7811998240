//! A real control plane on 127.0.0.1: Debian's etcd, Kubernetes 1.20.2's API server and controller
//! manager, set up by kubeadm's phases.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::env;
use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// The group that kubeadm gives nodes: it may request certificates, and the controller manager
/// approves them.
pub(crate) const TOKEN: &str = "abcdef.0123456789abcdef";
/// A group that may request certificates, which are not approved automatically.
pub(crate) const MANUAL_TOKEN: &str = "manual.0123456789abcdef";

/// The time limit for the start of each component; an idle machine needs seconds.
const LIMIT: Duration = Duration::from_secs(90);

/// A running control plane. It ends with this process.
pub(crate) struct ControlPlane {
    directory: PathBuf,
    /// The port of the API server.
    pub port: u16,
    /// The pin of its authority, as kubeadm prints it.
    pub pin: String,
}

impl ControlPlane {
    /// The control plane shared by this test program.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Option<ControlPlane>> = OnceLock::new();
        // After a failed start, all tests fail at once instead of waiting again.
        let shared = SHARED.get_or_init(|| std::panic::catch_unwind(|| Self::start("control-plane", true)).ok());
        shared.as_ref().expect("the control plane starts; the first failed test shows why it did not")
    }

    /// Starts a control plane; if not `signs`, its controller manager does not get the authority's
    /// key and cannot sign certificates.
    pub(crate) fn start(name: &str, signs: bool) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::remove_dir_all(&directory).ok();
        fs::create_dir_all(&directory).expect("a directory");
        let [etcd, peer, port, controllers] = free_ports();
        let plane = Self { directory, port, pin: String::new() };
        let at = |name: &str| plane.directory.join(name).display().to_string();
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let storage = [
            "--data-dir",
            &at("etcd"),
            "--listen-client-urls",
            &url(etcd),
            "--advertise-client-urls",
            &url(etcd),
            "--listen-peer-urls",
            &url(peer),
            "--initial-advertise-peer-urls",
            &url(peer),
            "--initial-cluster",
            &format!("default={}", url(peer)),
            "--unsafe-no-fsync",
        ];
        plane.daemon("etcd", Path::new("etcd"), &storage, "etcd: install the Debian package etcd-server");
        fs::write(at("kubeadm.yaml"), plane.kubeadm_config()).expect("written");
        plane.kubeadm(&["certs", "all"]);
        plane.kubeadm(&["kubeconfig", "admin"]);
        let pki = |name: &str| at(&format!("pki/{name}"));
        let api = [
            "--etcd-servers",
            &url(etcd),
            "--bind-address=127.0.0.1",
            "--secure-port",
            &port.to_string(),
            "--insecure-port=0",
            "--advertise-address=10.0.2.2",
            "--endpoint-reconciler-type=none",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--enable-bootstrap-token-auth",
            "--client-ca-file",
            &pki("ca.crt"),
            "--tls-cert-file",
            &pki("apiserver.crt"),
            "--tls-private-key-file",
            &pki("apiserver.key"),
            "--service-account-key-file",
            &pki("sa.pub"),
            "--service-account-signing-key-file",
            &pki("sa.key"),
            "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
            "--service-cluster-ip-range=10.96.0.0/12",
            "--kubelet-client-certificate",
            &pki("apiserver-kubelet-client.crt"),
            "--kubelet-client-key",
            &pki("apiserver-kubelet-client.key"),
        ];
        plane.daemon("kube-apiserver", &program("kube-apiserver"), &api, "");
        plane.wait_for("the API server", || plane.try_kubectl(&["get", "--raw", "/readyz"]).is_ok());
        let controllers = controllers.to_string();
        let (certificate, key) = (pki("ca.crt"), pki("ca.key"));
        let signing = ["--cluster-signing-cert-file", &certificate, "--cluster-signing-key-file", &key];
        let (admin, sa, qps) = (at("admin.conf"), pki("sa.key"), env::var("KILN_CONTROLLER_QPS").ok());
        let mut manager = vec![
            "--kubeconfig",
            &admin,
            "--bind-address=127.0.0.1",
            "--port=0",
            "--secure-port",
            &controllers,
            "--leader-elect=false",
            "--root-ca-file",
            &certificate,
            "--service-account-private-key-file",
            &sa,
            "--use-service-account-credentials",
            "--controllers=*,bootstrapsigner,tokencleaner",
            "--allocate-node-cidrs",
            "--cluster-cidr=10.128.0.0/10",
            "--service-cluster-ip-range=10.96.0.0/12",
            "--kube-api-qps",
            qps.as_deref().unwrap_or("20"),
            "--kube-api-burst",
            qps.as_deref().unwrap_or("30"),
        ];
        manager.extend(signing.into_iter().filter(|_| signs));
        plane.daemon("kube-controller-manager", &program("kube-controller-manager"), &manager, "");
        // upload-config records the runtime's socket on the control plane's Node.
        let node = r#"{"apiVersion":"v1","kind":"Node","metadata":{"name":"control-plane","labels":{"kubernetes.io/hostname":"control-plane"}}}"#;
        fs::write(at("node.json"), node).expect("written");
        plane.kubectl(&["create", "-f", &at("node.json")]);
        plane.kubeadm(&["upload-config", "all"]);
        plane.kubeadm(&["bootstrap-token"]);
        plane.token(MANUAL_TOKEN, "system:bootstrappers:manual", None);
        plane.kubectl(&[
            "create",
            "clusterrolebinding",
            "manual",
            "--clusterrole=system:node-bootstrapper",
            "--group=system:bootstrappers:manual",
        ]);
        plane.wait_for("signatures of cluster-info", || {
            let info = plane.kubectl(&["get", "-n", "kube-public", "configmap", "cluster-info", "-o", "json"]);
            [TOKEN, MANUAL_TOKEN].iter().all(|token| info.contains(&format!("jws-kubeconfig-{}", &token[..6])))
        });
        let pin = pin_by_openssl(&pki("ca.crt"));
        Self { pin, ..plane }
    }

    fn kubeadm_config(&self) -> String {
        format!(
            "apiVersion: kubeadm.k8s.io/v1beta2\nkind: InitConfiguration\nlocalAPIEndpoint: {{advertiseAddress: 10.0.2.2, bindPort: {port}}}\n\
             bootstrapTokens: [{{token: {TOKEN}}}]\nnodeRegistration: {{name: control-plane}}\n---\n\
             apiVersion: kubeadm.k8s.io/v1beta2\nkind: ClusterConfiguration\nkubernetesVersion: v1.20.2\n\
             controlPlaneEndpoint: 127.0.0.1:{port}\ncertificatesDir: {}\napiServer: {{certSANs: [localhost, api.example, \"::1\"]}}\n",
            self.directory.join("pki").display(),
            port = self.port,
        )
    }

    fn kubeadm(&self, phase: &[&str]) {
        let mut command = Command::new(program("kubeadm"));
        command.args(["init", "phase"]).args(phase).arg("--config").arg(self.directory.join("kubeadm.yaml"));
        match phase[0] {
            "kubeconfig" => command.arg("--kubeconfig-dir").arg(&self.directory),
            "certs" => &mut command,
            _ => command.arg("--kubeconfig").arg(self.directory.join("admin.conf")),
        };
        let output = command.output().expect("kubeadm");
        assert!(output.status.success(), "kubeadm {phase:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs kubectl as the administrator.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        self.try_kubectl(arguments).unwrap_or_else(|error| panic!("kubectl {arguments:?}: {error}"))
    }

    fn try_kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        kubectl(&self.directory.join("admin.conf"), arguments)
    }

    /// Creates a bootstrap token of one group, valid until `expiration` (RFC 3339).
    pub(crate) fn token(&self, token: &str, group: &str, expiration: Option<&str>) {
        let (id, secret) = token.split_once('.').expect("a token");
        let mut literals = vec![
            format!("token-id={id}"),
            format!("token-secret={secret}"),
            "usage-bootstrap-authentication=true".into(),
            "usage-bootstrap-signing=true".into(),
            format!("auth-extra-groups={group}"),
        ];
        literals.extend(expiration.map(|time| format!("expiration={time}")));
        let literals: Vec<String> = literals.iter().map(|literal| format!("--from-literal={literal}")).collect();
        let name = format!("bootstrap-token-{id}");
        let mut arguments =
            vec!["create", "secret", "generic", "-n", "kube-system", "--type=bootstrap.kubernetes.io/token", &name];
        arguments.extend(literals.iter().map(String::as_str));
        self.kubectl(&arguments);
    }

    /// Names of the certificate requests for `node`.
    pub(crate) fn requests(&self, node: &str) -> Vec<String> {
        let of_node = self.all_requests().into_iter().filter(|(_, of)| of == node);
        of_node.map(|(name, _)| name).collect()
    }

    /// The names and nodes of all certificate requests.
    pub(crate) fn all_requests(&self) -> Vec<(String, String)> {
        let columns = "jsonpath={range .items[*]}{.metadata.name} {.spec.request}{\"\\n\"}{end}";
        let list = self.kubectl(&["get", "csr", "-o", columns]);
        let lines = list.lines().filter_map(|line| line.split_once(' '));
        lines.map(|(name, request)| (name.to_owned(), common_name(&base64(request)))).collect()
    }

    /// The paths of the authority's certificate and key.
    pub(crate) fn authority(&self) -> [String; 2] {
        ["ca.crt", "ca.key"].map(|name| self.directory.join("pki").join(name).display().to_string())
    }

    /// Puts `certificate` (PEM) into a pending certificate request and approves it; the signer
    /// ignores requests that have a certificate.
    pub(crate) fn issue(&self, request: &str, certificate: &str) {
        self.sign(request, certificate);
        self.kubectl(&["certificate", "approve", request]);
    }

    /// Puts `certificate` (PEM) into a certificate request.
    pub(crate) fn sign(&self, request: &str, certificate: &str) {
        let object = self.kubectl(&["get", "csr", request, "-o", "json"]);
        let mut object: serde_json::Value = serde_json::from_str(&object).expect("JSON");
        object["status"]["certificate"] = STANDARD.encode(certificate).into();
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), object.to_string()).expect("written");
        let path = format!("/apis/certificates.k8s.io/v1/certificatesigningrequests/{request}/status");
        self.kubectl(&["replace", "--raw", &path, "-f", &file.path().display().to_string()]);
    }

    /// The authority's certificate, in PEM.
    pub(crate) fn ca(&self) -> String {
        fs::read_to_string(self.directory.join("pki/ca.crt")).expect("the authority")
    }

    pub(crate) fn wait_for(&self, what: &str, mut done: impl FnMut() -> bool) {
        let started = Instant::now();
        while !done() {
            assert!(started.elapsed() < LIMIT, "{what}: not after {LIMIT:?}; logs are in {}", self.directory.display());
            thread::sleep(Duration::from_millis(200));
        }
    }

    fn daemon(&self, name: &str, program: &Path, arguments: &[&str], hint: &str) {
        let log = fs::File::create(self.directory.join(format!("{name}.log"))).expect("a log");
        // The kernel kills them when the thread that started them exits, however this process ends.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program).args(arguments).env("GOMAXPROCS", "2");
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        let child = spawn_for_good(command);
        thread::sleep(Duration::from_millis(300));
        let ended = child.lock().expect("a child").try_wait().expect("a child");
        assert!(
            ended.is_none(),
            "{name} ended: {ended:?} {hint}: {}",
            fs::read_to_string(self.directory.join(format!("{name}.log"))).unwrap_or_default()
        );
    }
}

/// Spawns `command` from a thread that lives as long as the process.
fn spawn_for_good(mut command: Command) -> &'static Mutex<Child> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}: install the Debian package util-linux"));
        sender.send(Box::leak(Box::new(Mutex::new(child)))).expect("somebody waits");
        loop {
            thread::park();
        }
    });
    receiver.recv().expect("a child")
}

/// The path of a program built from Debian's source.
pub(crate) fn program(name: &str) -> PathBuf {
    let home = PathBuf::from(env::var_os("HOME").expect("HOME is set"));
    let path = home.join(".cache/kiln-test/kubernetes-1.20.2/amd64").join(name);
    assert!(path.exists(), "{} is missing: run \"make kubernetes\"", path.display());
    path
}

/// Runs kubectl with a kubeconfig.
pub(crate) fn kubectl(kubeconfig: &Path, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new(program("kubectl"));
    command
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .arg("--request-timeout=20s")
        .args(arguments)
        .env("HOME", env!("CARGO_TARGET_TMPDIR"));
    let output = command.output().expect("kubectl");
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

pub(crate) fn openssl(arguments: &[&str], input: &[u8]) -> String {
    String::from_utf8_lossy(&run("openssl", arguments, input)).trim().to_owned()
}

/// Decodes base64 of PEM to DER.
fn base64(text: &str) -> Vec<u8> {
    let pem = String::from_utf8(STANDARD.decode(text).expect("base64")).expect("PEM");
    let lines: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(lines).expect("base64")
}

/// The node's name in a request's common name (a UTF8String or PrintableString, X.690); empty if
/// the request is not for a node. openssl would need minutes for thousands of requests.
fn common_name(der: &[u8]) -> String {
    let prefix = b"system:node:";
    let at = der.windows(prefix.len()).position(|window| window == prefix).unwrap_or_default();
    let &[.., tag, length] = &der[..at] else { return String::new() };
    assert!(matches!(tag, 0x0c | 0x13), "tag {tag}");
    String::from_utf8(der[at + prefix.len()..at + usize::from(length)].to_vec()).expect("text")
}

fn run(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child =
        command.spawn().unwrap_or_else(|error| panic!("{program}: {error}: install the Debian package {program}"));
    std::io::Write::write_all(&mut child.stdin.take().expect("a pipe"), input).expect("written");
    let mut output = Vec::new();
    child.stdout.take().expect("a pipe").read_to_end(&mut output).expect("read");
    assert!(child.wait().expect("a child").success(), "{program} {arguments:?}");
    output
}

/// Computes the pin of an authority in a file with openssl, as kubeadm's documentation does.
pub(crate) fn pin_by_openssl(certificate: &str) -> String {
    let key = openssl(&["x509", "-pubkey", "-noout", "-in", certificate], b"");
    let der = run("openssl", &["pkey", "-pubin", "-outform", "der"], format!("{key}\n").as_bytes());
    let digest = run("sha256sum", &[], &der);
    format!("sha256:{}", &String::from_utf8_lossy(&digest)[..64])
}

/// Ports that are currently free.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    listeners.map(|listener| listener.local_addr().expect("an address").port())
}
