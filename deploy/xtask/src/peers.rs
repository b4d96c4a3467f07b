//! `cargo xtask peers`: installs the servers that `vetrina-load channel --peer` measures ours
//! beside. Nothing else needs them, so no stage of `cargo verify` does it.

use crate::debian::{self, Package};
use crate::node;
use crate::repository::Repository;
use crate::run::Runner;

const PACKAGES: &[Package] = &[
    Package {
        name: "nats-server",
        shown_by: &["nats-server"],
    },
    Package {
        name: "nginx",
        shown_by: &["nginx"],
    },
    Package {
        name: "libnginx-mod-nchan",
        shown_by: &["/usr/lib/nginx/modules/ngx_nchan_module.so"],
    },
];

/// Installs what is missing: Debian's packages, and npm's that the lock file names.
pub(crate) fn main() -> Result<(), String> {
    let repository = Repository::here()?;
    let runner = Runner::terminal(&repository);
    debian::ensure(&runner, PACKAGES)?;
    node::ensure(&runner)?;
    runner.run_in(
        "load-tests/peers",
        "npm",
        &["ci", "--no-audit", "--no-fund"],
    )
}
