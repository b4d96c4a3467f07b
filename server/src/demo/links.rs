//! The links that the demo prints. Those for staff carry a one-use code in the fragment, which
//! browsers do not send and pages take off the address bar: never a token.

use std::sync::Arc;

use vetrina_protocol::id::{ShowId, UserId};
use vetrina_protocol::view::Role;

use super::seed::{self, HOST};
use crate::app::App;
use crate::auth::Shows;
use crate::auth::codes::{CodeGrant, issue};
use crate::cli::Failure;
use crate::clock::Clock;
use crate::config::Config;
use vetrina_store::Ledger;

/// Where the demo is reached.
pub(super) struct Links {
    ledger: Arc<dyn Ledger>,
    clock: Clock,
    show: ShowId,
    public: String,
    ops: String,
}

impl Links {
    pub(super) fn new(config: &Config, app: &App, show: ShowId) -> Result<Self, Failure> {
        let listeners = app.listeners();
        let public = match &config.public_url {
            Some(origin) => origin.to_string(),
            None => {
                let scheme = if config.tls.is_some() {
                    "https"
                } else {
                    "http"
                };
                format!("{scheme}://{}", listeners.public_address()?)
            }
        };
        Ok(Self {
            ledger: app.records().ledger.clone(),
            clock: app.clock().clone(),
            show,
            public,
            ops: format!("http://{}", listeners.ops_address()?),
        })
    }

    /// All of them, with fresh codes.
    pub(super) async fn all(&self) -> Result<String, Failure> {
        let studio = self.code(Role::Host).await?;
        let ops = self.code(Role::Ops).await?;
        let (public, show) = (&self.public, self.show);
        Ok(format!(
            "\n  watch   {}\n  studio  {public}/studio/{show}#code={studio}\n  \
             ops     {}/ops#code={ops}\n  docs    {public}/docs/\n\n\
             The links to studio and ops are good once, for 60 s: Enter prints fresh ones. \
             Ctrl-C ends.",
            self.watch(),
            self.ops,
        ))
    }

    /// The watch page for a phone's camera.
    pub(super) fn qr(&self) -> Result<String, Failure> {
        let code = qrcode::QrCode::new(self.watch())?;
        let picture = code
            .render::<qrcode::render::unicode::Dense1x2>()
            .dark_color(qrcode::render::unicode::Dense1x2::Light)
            .light_color(qrcode::render::unicode::Dense1x2::Dark)
            .build();
        Ok(format!(
            "\n{picture}\n\n  Scan it with a phone on this network. It warns of the certificate \
             once: it was made on this machine."
        ))
    }

    fn watch(&self) -> String {
        format!("{}/watch/{}", self.public, self.show)
    }

    async fn code(&self, role: Role) -> Result<String, Failure> {
        let grant = match role {
            Role::Ops => CodeGrant {
                user: UserId::now(),
                name: "Ops".into(),
                role,
                seller: None,
                shows: Shows::All,
            },
            _ => CodeGrant {
                user: HOST,
                name: seed::HOST_NAME.into(),
                role,
                seller: Some(seed::SELLER),
                shows: Shows::All,
            },
        };
        Ok(issue(&*self.ledger, &grant, self.clock.now()).await?)
    }
}
