//! Saying something to everybody.

use vetrina_core::refused::Refused;
use vetrina_core::show::refuse_if_over;
use vetrina_protocol::event::Event;
use vetrina_protocol::server::Done;
use vetrina_protocol::time::MediaTime;
use vetrina_protocol::view::{Author, Comment};

use super::Shop;
use super::command::Ask;
use super::ids;

impl Shop {
    pub(super) async fn comment(
        &self,
        ask: &Ask,
        text: &str,
        media_time: Option<MediaTime>,
    ) -> Result<Done, Refused> {
        let id = ids::comment(ask, ask.need_key()?);
        // The stage is kept until the comment is in the log: comments of a show are decided one
        // after the other, and their order in the log is the order of the decisions.
        let mut stage = self.stage(ask.show).await?;
        if stage.knows_comment(id) {
            // Its first try was not answered, and yet it is in the log.
            return Ok(Done {
                comment: Some(id),
                ..Done::default()
            });
        }
        refuse_if_over(stage.state())?;
        let now = self.clock().now();
        let text = stage.gate.admit(now, id, ask.by.user, ask.by.role, text)?;
        let comment = Comment {
            id,
            author: Author {
                id: ask.by.user,
                name: ask.by.name.clone(),
                role: ask.by.role,
            },
            text,
            at_ms: now,
            media_time,
        };
        let appended = self.append(ask.show, Event::Commented { comment }).await?;
        Ok(Done {
            comment: Some(id),
            offset: Some(appended),
            ..Done::default()
        })
    }
}
