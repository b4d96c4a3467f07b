//! What a node knows of a show's public state when it decides over comments, pins and listings: the
//! log, folded, and caught up with before every look. No task: whoever looks reads on.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};
use vetrina_core::comment::CommentGate;
use vetrina_core::refused::Refused;
use vetrina_core::show::ShowFold;
use vetrina_protocol::event::{Event, LoggedEvent};
use vetrina_protocol::id::{CommentId, ShowId};
use vetrina_protocol::view::{Show, ShowState};

use super::Shop;
use super::facts::show_unknown;
use super::limits::{COMMENTS_KNOWN_MAX, EVENTS_PER_READ, SHOWS_MAX, STAGE_WITHIN};
use vetrina_store::StoreError;
use vetrina_store::hot::{Entries, Position};

/// Scenes of all shows. The outer lock is taken for a look-up; the inner one is kept over the
/// store's answer, because what is decided must be appended before the next decision looks.
#[derive(Debug, Default)]
pub(super) struct Scenes {
    shows: Mutex<HashMap<ShowId, Arc<AsyncMutex<Option<Scene>>>>>,
    /// Shows that were seen selling. None ever goes back to before that.
    opened: Mutex<HashSet<ShowId>>,
}

/// One show, as its log says.
#[derive(Debug)]
pub(super) struct Scene {
    position: Position,
    pub(super) fold: ShowFold,
    pub(super) gate: CommentGate,
    comments: KnownComments,
}

/// A scene that is up to date as long as its guard lives, for this node's decisions.
pub(super) struct Stage(OwnedMutexGuard<Option<Scene>>);

impl std::ops::Deref for Stage {
    type Target = Scene;
    fn deref(&self) -> &Scene {
        self.0.as_ref().expect("a stage is made with its scene")
    }
}

impl std::ops::DerefMut for Stage {
    fn deref_mut(&mut self) -> &mut Scene {
        self.0.as_mut().expect("a stage is made with its scene")
    }
}

impl Scenes {
    /// The show was seen selling; whether it still does, the hot store knows.
    pub(super) fn has_opened(&self, show: ShowId) -> bool {
        self.opened
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&show)
    }

    /// Remembers that the show was seen selling.
    pub(super) fn note_opened(&self, show: ShowId) {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if opened.len() >= SHOWS_MAX {
            opened.clear();
        }
        opened.insert(show);
    }

    fn of(&self, show: ShowId) -> Arc<AsyncMutex<Option<Scene>>> {
        // Whole after every statement, so a poisoned lock is usable.
        let mut shows = self.shows.lock().unwrap_or_else(PoisonError::into_inner);
        if shows.len() >= SHOWS_MAX && !shows.contains_key(&show) {
            // Those in use stay; the others are folded again when needed.
            shows.retain(|_, scene| Arc::strong_count(scene) > 1);
        }
        shows.entry(show).or_default().clone()
    }
}

impl Shop {
    /// The scene of a show, caught up with its log.
    pub(super) async fn stage(&self, show: ShowId) -> Result<Stage, Refused> {
        // One after the other would wait for a hot store that is away.
        let ready = tokio::time::timeout(STAGE_WITHIN, self.ready_stage(show)).await;
        ready.unwrap_or_else(|_| {
            let why = "the show's log does not answer".into();
            Err(self.refusal(StoreError::Unavailable(why)))
        })
    }

    async fn ready_stage(&self, show: ShowId) -> Result<Stage, Refused> {
        let mut guard = self.inner.scenes.of(show).lock_owned().await;
        if let Some(scene) = guard.as_mut()
            && self.catch_up(show, scene).await?
        {
            return Ok(Stage(guard));
        }
        *guard = Some(self.open_scene(show).await?);
        Ok(Stage(guard))
    }

    async fn open_scene(&self, show: ShowId) -> Result<Scene, Refused> {
        let folded = self.hot().fold(show).await;
        let (position, fold) = folded.map_err(|error| self.refusal(error))?;
        let mut scene = Scene {
            position,
            gate: CommentGate::new(),
            comments: KnownComments::default(),
            fold,
        };
        let said = scene.fold.snapshot(0);
        scene.gate.observe(&Event::SlowModeChanged {
            seconds: said.slow_mode_s,
        });
        for viewer in said.muted {
            scene.gate.observe(&Event::ViewerMuted {
                viewer,
                muted: true,
            });
        }
        for comment in said.comments {
            scene.comments.add(comment.id);
        }
        Ok(scene)
    }

    /// Reads on to the log's end; `false` when the log cannot be continued.
    async fn catch_up(&self, show: ShowId, scene: &mut Scene) -> Result<bool, Refused> {
        loop {
            let read = self.hot().read(show, scene.position, EVENTS_PER_READ).await;
            match read.map_err(|error| self.refusal(error))? {
                Entries::Reset(_) => return Ok(false),
                Entries::Next { epoch, events } => {
                    scene.position.epoch = epoch;
                    let more = events.len() >= EVENTS_PER_READ;
                    for event in &events {
                        scene.take(event);
                    }
                    if !more {
                        return Ok(true);
                    }
                }
            }
        }
    }

    /// The show as everybody sees it, with the addresses of its video.
    ///
    /// # Errors
    /// `show_unknown`; `try_again` when the ledger does not answer.
    pub async fn show_view(&self, show: ShowId) -> Result<Show, Refused> {
        let row = self
            .ledger()
            .show(show)
            .await
            .map_err(|error| self.refusal(error))?;
        let row = row.ok_or_else(show_unknown)?;
        Ok(self.inner.parts.origins.view(row).await)
    }
}

impl Scene {
    /// Where the show is in its life.
    pub(super) fn state(&self) -> ShowState {
        self.fold.show().state
    }

    /// Whether a comment is in the log, and was not deleted.
    pub(super) fn knows_comment(&self, comment: CommentId) -> bool {
        self.comments.ids.contains(&comment)
    }

    fn take(&mut self, logged: &LoggedEvent) {
        self.fold.apply(logged);
        self.gate.observe(&logged.event);
        match &logged.event {
            Event::Commented { comment } => self.comments.add(comment.id),
            Event::CommentDeleted { comment } => self.comments.remove(*comment),
            _ => {}
        }
        self.position.offset = logged.offset;
    }
}

/// The newest comments that may still be deleted.
#[derive(Debug, Default)]
struct KnownComments {
    ids: HashSet<CommentId>,
    oldest_first: VecDeque<CommentId>,
}

impl KnownComments {
    fn add(&mut self, comment: CommentId) {
        if self.ids.insert(comment) {
            self.oldest_first.push_back(comment);
        }
        if self.oldest_first.len() > COMMENTS_KNOWN_MAX
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }

    /// Its place in the order stays until its turn comes: it is one id, and bounded.
    fn remove(&mut self, comment: CommentId) {
        self.ids.remove(&comment);
    }
}
