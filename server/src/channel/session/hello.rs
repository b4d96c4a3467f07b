//! The beginning of a session: the first message, who it is from, and the `Welcome`.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use vetrina_core::refused::Refused;
use vetrina_protocol::client::{ClientMessage, Resume};
use vetrina_protocol::close::CloseCode;
use vetrina_protocol::encoding::Encoding;
use vetrina_protocol::id::ShowId;
use vetrina_protocol::reading::{Unreadable, read_frame};
use vetrina_protocol::refusal::RefusalCode;
use vetrina_protocol::server::Welcome;
use vetrina_protocol::view::Role;

use super::End;
use super::running::Session;
use super::shopping::{Shopping, Versions};
use crate::auth::Principal;
use crate::channel::Inner;
use crate::channel::limits::HELLO_DEADLINE;
use crate::channel::room::{Member, Start};
use crate::channel::socket::{Incoming, Socket, frame};
use crate::channel::translate::refusal;
use crate::channel::welcome::welcome_frame;

/// The session does not come about.
pub(super) struct NotWelcome(pub(super) End);

/// Messages of one frame, each readable or not.
pub(super) type Messages = VecDeque<Result<ClientMessage, Unreadable>>;

/// Reads the first frame and welcomes the session.
pub(super) async fn hello<S: AsyncRead + AsyncWrite + Unpin>(
    channel: &Arc<Inner>,
    show: ShowId,
    encoding: Encoding,
    socket: &mut Socket<S>,
) -> Result<Session<Shopping>, NotWelcome> {
    let first = tokio::time::timeout(HELLO_DEADLINE, first_frame(encoding, socket)).await;
    let mut messages = match first {
        Ok(messages) => messages.map_err(NotWelcome)?,
        Err(_) => return Err(NotWelcome(End::Close(CloseCode::HelloTimeout))),
    };
    let Some(Ok(ClientMessage::Hello { token, resume })) = messages.pop_front() else {
        return Err(NotWelcome(End::Close(CloseCode::HelloExpected)));
    };
    match welcome(channel, show, encoding, socket, &token, resume).await {
        Ok(mut shopping) => {
            let answers = shopping.take_in(messages).map_err(NotWelcome)?;
            for answer in answers {
                socket.push(frame(encoding, &encoding.encode(&[answer])));
            }
            Ok(Session::new(shopping))
        }
        Err(refused) => {
            let end = End::Close(close_code(&refused));
            socket.push(frame(encoding, &encoding.encode(&[refusal(None, refused)])));
            // The close frame follows; it drops what the kernel has not taken by then.
            let _ = tokio::time::timeout(
                HELLO_DEADLINE,
                std::future::poll_fn(|cx| socket.poll_turn(cx, false)),
            )
            .await;
            Err(NotWelcome(end))
        }
    }
}

async fn first_frame<S: AsyncRead + AsyncWrite + Unpin>(
    encoding: Encoding,
    socket: &mut Socket<S>,
) -> Result<Messages, End> {
    loop {
        match std::future::poll_fn(|cx| socket.poll_turn(cx, true)).await {
            None | Some(Incoming::Alive) => {}
            Some(Incoming::Gone) => return Err(End::Gone),
            Some(Incoming::Fault(code)) => return Err(End::Fault(code)),
            Some(Incoming::Message { text, payload }) => {
                return messages(encoding, text, &payload);
            }
        }
    }
}

/// The messages of a frame.
pub(super) fn messages(encoding: Encoding, text: bool, payload: &[u8]) -> Result<Messages, End> {
    if text != (encoding == Encoding::Json) {
        return Err(End::Close(CloseCode::Unsupported));
    }
    read_frame(encoding, payload)
        .map(Into::into)
        .map_err(End::Close)
}

async fn welcome<S: AsyncRead + AsyncWrite + Unpin>(
    channel: &Arc<Inner>,
    show: ShowId,
    encoding: Encoding,
    socket: &mut Socket<S>,
    token: &str,
    resume: Option<Resume>,
) -> Result<Shopping, Refused> {
    let shop = &channel.shop;
    let who = channel.tokens.verify(token, shop.clock().now())?;
    shop.facts(show).await?.check_scope(&who)?;
    if who.role == Role::Ops {
        return Err(crate::refused::forbidden(
            "ops tokens see machines; watch with a guest's",
        ));
    }
    // The mailbox first: from here on no private fact is missed, and those that `mine` has already
    // are recognised by their version.
    let member = join(channel, show, &who).await?;
    let no_order = |version| member.room.buyers.has_none(who.user, version);
    let (mine, ()) = tokio::join!(
        shop.mine(show, who.user, no_order),
        channel.people.greet(who.user)
    );
    let mine = mine?;
    let desk = if who.is_staff() {
        Some(shop.desk(show, who.role).await?)
    } else {
        None
    };
    let entered = member
        .room
        .enter(shop.hot().as_ref(), resume, encoding)
        .await?;
    let versions = Versions {
        mine: mine.version,
        desk: desk.as_ref().map_or(0, |desk| desk.version),
    };
    let (snapshot, reset, missed) = match entered.start {
        Start::Snapshot(snapshot, reset) => (Some(snapshot), reset, Vec::new()),
        Start::Resumed(missed) => (None, None, missed),
    };
    let welcome = Welcome {
        session: member.session,
        user: who.user,
        name: who.name.clone(),
        role: who.role,
        epoch: entered.epoch,
        offset: entered.offset,
        snapshot: None,
        resumed: snapshot.is_none(),
        reset,
        server_time_ms: shop.clock().now(),
        mine,
        desk,
    };
    socket.push(welcome_frame(encoding, welcome, snapshot.as_deref()));
    for frame in missed {
        socket.push(frame);
    }
    Ok(Shopping::new(
        channel.clone(),
        encoding,
        member,
        who,
        entered.place,
        versions,
    ))
}

async fn join(channel: &Arc<Inner>, show: ShowId, who: &Principal) -> Result<Member, Refused> {
    loop {
        let room = channel.room(show).await?;
        if let Some(member) = Member::join(&room, who) {
            return Ok(member);
        }
        channel.forget(&room);
    }
}

fn close_code(refused: &Refused) -> CloseCode {
    match refused.code {
        RefusalCode::ShowUnknown => CloseCode::ShowUnknown,
        RefusalCode::Unauthenticated | RefusalCode::Forbidden => CloseCode::Unauthenticated,
        RefusalCode::Internal => CloseCode::Internal,
        _ => CloseCode::Overloaded,
    }
}
