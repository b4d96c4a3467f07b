//! TLS to PostgreSQL as the URL chooses it: a server is believed only when the named authority
//! signed its certificate for the host of the URL; whatever is wrong is said, and never with the
//! password.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use tempfile::TempDir;
use vetrina_backends::PostgresServer;
use vetrina_store::ledger::open;

use crate::sql;

/// Signs certificates.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("signed").pem();
        let issuer = Issuer::new(params, key);
        Self { pem, issuer }
    }

    /// A server whose certificate is for this name.
    fn server(&self, name: &str) -> PostgresServer {
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &self.issuer).expect("signed");
        let kept = env!("CARGO_TARGET_TMPDIR");
        PostgresServer::start_with_tls(kept, &signed.pem(), &key.serialize_pem())
    }
}

/// A URL with a password and this authority.
fn url(server: &PostgresServer, host: &str, folder: &TempDir, authority: &Authority) -> String {
    let file = folder.path().join("authority.pem");
    std::fs::write(&file, &authority.pem).expect("written");
    let url = server.tls_url(host).replace("vetrina@", "vetrina:s3cret@");
    format!("{url}?sslmode=verify-full&sslrootcert={}", file.display())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_right_server_is_believed_and_everything_is_encrypted() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a folder"));
    let server = authority.server("localhost");
    let url = url(&server, "localhost", &folder, &authority);
    let ledger = open(&url).await.expect("it opens");
    ledger.check().await.expect("it works");
    let ours = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
         WHERE application_name = 'vetrina' AND ssl";
    assert!(sql::number(&server.url(), ours).await > 0);
    let plain = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
         WHERE application_name = 'vetrina' AND NOT ssl";
    assert_eq!(sql::number(&server.url(), plain).await, 0);
    ledger.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_impostor_is_refused_and_the_reason_said() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a folder"));
    let server = authority.server("localhost");
    let impostor = url(&server, "localhost", &folder, &Authority::new());
    let refused = refusal(&impostor).await;
    for word in ["localhost", "sslrootcert", "certificate"] {
        assert!(refused.contains(word), "{word} is missing in: {refused}");
    }
    // Signed by the right one, for another host.
    let elsewhere = url(&server, "127.0.0.1", &folder, &authority);
    let refused = refusal(&elsewhere).await;
    assert!(refused.contains("the host in the URL"), "{refused}");
    // The same server is believed by who is told of its authority.
    let good = url(&server, "localhost", &folder, &authority);
    let ledger = open(&good).await.expect("it opens");
    ledger.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_checked_is_refused() {
    let (authority, folder) = (Authority::new(), tempfile::tempdir().expect("a folder"));
    let server = authority.server("localhost");
    let nowhere = url(&server, "localhost", &folder, &authority).replace("authority", "nowhere");
    let refused = refusal(&nowhere).await;
    assert!(refused.contains("sslrootcert: the file"), "{refused}");
    // This server takes nobody without TLS.
    let plain = server
        .tls_url("localhost")
        .replace("vetrina@", "vetrina:s3cret@");
    let refused = refusal(&format!("{plain}?sslmode=disable")).await;
    assert!(refused.contains("localhost"), "{refused}");
}

/// Why it does not open; without the password.
async fn refusal(url: &str) -> String {
    let refused = open(url).await.err().expect("refused").to_string();
    assert!(!refused.contains("s3cret"), "{refused}");
    refused
}
