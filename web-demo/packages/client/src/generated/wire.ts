// Generated from the Rust types in protocol/src. Do not edit.

export type Page<T> = { items: Array<T>, next_cursor?: string, };

export type UnixMs = number;

export type Offset = number;

export type Epoch = number;

export type MediaTime = number;

export type Money = { 
/**
 * Minor units; never more than 2^53 - 1 in size.
 */
amount_minor: number, 
/**
 * ISO 4217 code.
 */
currency: string, };

export type ClientMessage = { "type": "Hello", 
/**
 * A JWT of this server for this show.
 */
token: string, 
/**
 * Where to continue, when this client was here before.
 */
resume?: Resume, } | { "type": "Reserve", 
/**
 * Echoed in the answer.
 */
id: number, 
/**
 * Idempotency key.
 */
key: string, 
/**
 * What.
 */
listing: string, 
/**
 * How many, from 1 to the listing's limit per buyer.
 */
quantity: number, 
/**
 * The frame on this buyer's screen when they asked.
 */
media_time?: MediaTime, } | { "type": "ExtendReservation", 
/**
 * Echoed in the answer.
 */
id: number, 
/**
 * Idempotency key.
 */
key: string, 
/**
 * Which.
 */
reservation: string, } | { "type": "ReleaseReservation", 
/**
 * Echoed in the answer.
 */
id: number, 
/**
 * Idempotency key.
 */
key: string, 
/**
 * Which.
 */
reservation: string, } | { "type": "JoinWaitlist", 
/**
 * Echoed in the answer.
 */
id: number, 
/**
 * Idempotency key.
 */
key: string, 
/**
 * For what.
 */
listing: string, 
/**
 * How many units.
 */
quantity: number, } | { "type": "LeaveWaitlist", 
/**
 * Echoed in the answer.
 */
id: number, 
/**
 * Idempotency key.
 */
key: string, 
/**
 * Which queue.
 */
listing: string, } | { "type": "Checkout", 
/**
 * Echoed in the answer.
 */
id: number, 
/**
 * Idempotency key.
 */
key: string, 
/**
 * The bag: from 1 to 20 reservations of this buyer.
 */
reservations: Array<string>, 
/**
 * Where to send it. Seen by this buyer and the fulfilment role only.
 */
delivery?: Delivery, } | { "type": "BuyNow", 
/**
 * Echoed in the answer.
 */
id: number, 
/**
 * Idempotency key.
 */
key: string, 
/**
 * What.
 */
listing: string, 
/**
 * How many.
 */
quantity: number, 
/**
 * Where to send it.
 */
delivery?: Delivery, 
/**
 * The frame on this buyer's screen when they asked.
 */
media_time?: MediaTime, } | { "type": "CancelOrder", 
/**
 * Echoed in the answer.
 */
id: number, 
/**
 * Idempotency key.
 */
key: string, 
/**
 * Which.
 */
order: string, } | { "type": "Comment", 
/**
 * Echoed in the answer.
 */
id: number, 
/**
 * Idempotency key.
 */
key: string, 
/**
 * From 1 to 300 characters after trimming.
 */
text: string, 
/**
 * The frame on this viewer's screen when they said it.
 */
media_time?: MediaTime, } | { "type": "React", 
/**
 * Echoed in the answer.
 */
id: number, 
/**
 * Which.
 */
reaction: Reaction, } | { "type": "Ping", 
/**
 * Echoed in `Pong`.
 */
id: number, } | { "type": "RefreshToken", 
/**
 * Echoed in the answer.
 */
id: number, 
/**
 * The new JWT.
 */
token: string, } | { "type": "StartShow", 
/**
 * Echoed in the answer.
 */
id: number, 
/**
 * Idempotency key.
 */
key: string, } | { "type": "Pin", 
/**
 * Echoed in the answer.
 */
id: number, 
/**
 * Idempotency key.
 */
key: string, 
/**
 * Which.
 */
listing: string, 
/**
 * Back-dates the pin to a frame already shown; without it the newest frame at the server.
 */
media_time?: MediaTime, } | { "type": "Unpin", 
/**
 * Echoed in the answer.
 */
id: number, 
/**
 * Idempotency key.
 */
key: string, } | { "type": "SetStock", 
/**
 * Echoed in the answer.
 */
id: number, 
/**
 * Idempotency key.
 */
key: string, 
/**
 * Which.
 */
listing: string, 
/**
 * The new total.
 */
total: number, } | { "type": "SetPrice", 
/**
 * Echoed in the answer.
 */
id: number, 
/**
 * Idempotency key.
 */
key: string, 
/**
 * Which.
 */
listing: string, 
/**
 * The new price, in the show's currency.
 */
price: Money, } | { "type": "OrderListings", 
/**
 * Echoed in the answer.
 */
id: number, 
/**
 * Idempotency key.
 */
key: string, 
/**
 * In this order.
 */
listings: Array<string>, } | { "type": "EndShow", 
/**
 * Echoed in the answer.
 */
id: number, 
/**
 * Idempotency key.
 */
key: string, } | { "type": "DeleteComment", 
/**
 * Echoed in the answer.
 */
id: number, 
/**
 * Idempotency key.
 */
key: string, 
/**
 * Which.
 */
comment: string, } | { "type": "MuteViewer", 
/**
 * Echoed in the answer.
 */
id: number, 
/**
 * Idempotency key.
 */
key: string, 
/**
 * Whom.
 */
viewer: string, 
/**
 * `true` mutes (the default), `false` allows again.
 */
muted: boolean, } | { "type": "SlowMode", 
/**
 * Echoed in the answer.
 */
id: number, 
/**
 * Idempotency key.
 */
key: string, 
/**
 * From 0 to 300.
 */
seconds: number, };

export type Resume = { 
/**
 * From the last `Welcome`.
 */
epoch: Epoch, 
/**
 * `to` of the last `Events` seen, or `offset` of the last `Welcome`.
 */
offset: Offset, };

export type Reaction = "heart" | "clap" | "fire" | "laugh";

export type Delivery = { 
/**
 * Name on the parcel, at most 100 characters.
 */
name: string, 
/**
 * For the receipt, at most 254 characters.
 */
email?: string, 
/**
 * Street, number and so on: from 1 to 4 lines of at most 100 characters.
 */
lines: Array<string>, 
/**
 * At most 20 characters.
 */
postcode: string, 
/**
 * At most 100 characters.
 */
city: string, 
/**
 * ISO 3166-1 alpha-2, such as IT.
 */
country: string, };

export type ServerMessage = { "type": "Welcome" } & Welcome | { "type": "Events", 
/**
 * First offset covered.
 */
from: Offset, 
/**
 * Last offset covered.
 */
to: Offset, 
/**
 * In order of offset.
 */
events: Array<LoggedEvent>, } | { "type": "Audience", 
/**
 * Viewers now.
 */
viewers: number, 
/**
 * Counts since the last `Audience`.
 */
reactions: Array<ReactionCount>, } | { "type": "Private", 
/**
 * Grows; compare with `mine.version`.
 */
version: number, 
/**
 * What.
 */
event: PrivateEvent, } | { "type": "Desk", 
/**
 * Grows; compare with `desk.version`.
 */
version: number, 
/**
 * What.
 */
event: DeskEvent, } | { "type": "Ok" } & Done | { "type": "Refused", 
/**
 * Which command.
 */
id?: number, 
/**
 * Why, for programs.
 */
code: RefusalCode, 
/**
 * Why, and what to do next, for people.
 */
message: string, 
/**
 * When to try again, if that can help.
 */
retry_after_ms?: number, } | { "type": "Pong", 
/**
 * Of the `Ping`.
 */
id: number, 
/**
 * The server's clock.
 */
server_time_ms: UnixMs, } | { "type": "GoAway", 
/**
 * Chosen for this session, so that all do not come back at once.
 */
reconnect_after_ms: number, };

export type Welcome = { 
/**
 * This session.
 */
session: string, 
/**
 * Who the token says this is.
 */
user: string, 
/**
 * Display name in comments.
 */
name: string, 
/**
 * What this person may do.
 */
role: Role, 
/**
 * The log's incarnation.
 */
epoch: Epoch, 
/**
 * The position this session continues from: of the snapshot, or of `resume`.
 */
offset: Offset, 
/**
 * The state at `offset`; absent when resumed.
 */
snapshot?: Snapshot, 
/**
 * `true`: every event after `resume.offset` follows, without a gap.
 */
resumed: boolean, 
/**
 * Present when `resume` was asked for and could not be done: throw the old state away.
 */
reset?: ResetReason, 
/**
 * The server's clock.
 */
server_time_ms: UnixMs, 
/**
 * Always the whole private state of this buyer.
 */
mine: Mine, 
/**
 * The seller's desk; for hosts, moderators and fulfilment.
 */
desk?: Desk, };

export type ResetReason = "lost" | "too_old" | "unknown";

export type Snapshot = { 
/**
 * The show.
 */
show: Show, 
/**
 * In the run of show's order.
 */
listings: Array<Listing>, 
/**
 * On screen now.
 */
pin?: Pin, 
/**
 * The newest comments, oldest first.
 */
comments: Array<Comment>, 
/**
 * Slow mode, seconds; 0: off.
 */
slow_mode_s: number, 
/**
 * People who may not comment.
 */
muted: Array<string>, 
/**
 * Viewers now.
 */
viewers: number, };

export type Mine = { 
/**
 * Open ones, soonest to expire first.
 */
reservations: Array<Reservation>, 
/**
 * All of them, newest first.
 */
orders: Array<Order>, 
/**
 * Places in queues.
 */
waitlist: Array<WaitlistPlace>, 
/**
 * Private events up to this version are in here.
 */
version: number, };

export type Desk = { 
/**
 * Open ones.
 */
reservations: Array<DeskReservation>, 
/**
 * Newest first, at most 500; older ones by REST.
 */
orders: Array<DeskOrder>, 
/**
 * Desk events up to this version are in here.
 */
version: number, };

export type Done = { 
/**
 * Which command.
 */
id: number, 
/**
 * `Reserve`, `ExtendReservation`, `ReleaseReservation`.
 */
reservation?: Reservation, 
/**
 * `Checkout`, `BuyNow`, `CancelOrder`.
 */
order?: Order, 
/**
 * `JoinWaitlist`.
 */
place?: WaitlistPlace, 
/**
 * `Comment`.
 */
comment?: string, 
/**
 * The last event this command put into the log.
 */
offset?: Offset, };

export type ReactionCount = { 
/**
 * Which.
 */
reaction: Reaction, 
/**
 * How often.
 */
count: number, };

export type LoggedEvent = { 
/**
 * Its number.
 */
offset: Offset, 
/**
 * When it was decided.
 */
at_ms: UnixMs, 
/**
 * What.
 */
event: Event, };

export type Event = { "type": "ShowStateChanged", 
/**
 * Now.
 */
state: ShowState, } | { "type": "ListingChanged", 
/**
 * As it is now.
 */
listing: Listing, } | { "type": "ListingsOrdered", 
/**
 * All of them, first to last.
 */
listings: Array<string>, } | { "type": "Pinned", 
/**
 * Which, and from which frame on.
 */
pin: Pin, } | { "type": "Unpinned", 
/**
 * From which frame on; none: at once.
 */
media_time?: MediaTime, } | { "type": "StockChanged", 
/**
 * Of what.
 */
listing: string, 
/**
 * Now, absolute.
 */
stock: Stock, } | { "type": "PriceChanged", 
/**
 * Of what.
 */
listing: string, 
/**
 * Now.
 */
price: Money, } | { "type": "Commented", 
/**
 * What.
 */
comment: Comment, } | { "type": "CommentDeleted", 
/**
 * Which.
 */
comment: string, } | { "type": "ViewerMuted", 
/**
 * Whom.
 */
viewer: string, 
/**
 * `false`: may again.
 */
muted: boolean, } | { "type": "SlowModeChanged", 
/**
 * Seconds; 0: off.
 */
seconds: number, };

export type PrivateEvent = { "type": "ReservationChanged", 
/**
 * As it is now.
 */
reservation: Reservation, } | { "type": "OrderChanged", 
/**
 * As it is now.
 */
order: Order, } | { "type": "WaitlistOffer", 
/**
 * To be checked out before it expires.
 */
reservation: Reservation, } | { "type": "WaitlistChanged", 
/**
 * For what.
 */
listing: string, 
/**
 * Now.
 */
place?: WaitlistPlace, };

export type DeskEvent = { "type": "ReservationChanged", 
/**
 * Whose, and as it is now.
 */
entry: DeskReservation, } | { "type": "OrderChanged", 
/**
 * Whose, and as it is now.
 */
entry: DeskOrder, };

export type Role = "viewer" | "host" | "moderator" | "fulfilment" | "ops";

export type ShowState = "scheduled" | "live" | "interrupted" | "ended" | "replay";

export type Show = { 
/**
 * Id.
 */
id: string, 
/**
 * Whose.
 */
seller: string, 
/**
 * The seller's display name.
 */
seller_name: string, 
/**
 * Title.
 */
title: string, 
/**
 * Life cycle.
 */
state: ShowState, 
/**
 * The one currency of its prices and orders.
 */
currency: string, 
/**
 * Announced start.
 */
starts_at_ms?: UnixMs, 
/**
 * When it first went live.
 */
live_at_ms?: UnixMs, 
/**
 * When it ended.
 */
ended_at_ms?: UnixMs, 
/**
 * Picture until the first frame: a path on this server.
 */
poster_url?: string, 
/**
 * How long a reservation lasts, seconds. Default 120.
 */
reservation_ttl_s: number, 
/**
 * How long an order may stay unpaid, seconds. Default 600.
 */
order_deadline_s: number, 
/**
 * Where to play its video (WHEP).
 */
whep_url: string, 
/**
 * Where to publish its video (WHIP).
 */
whip_url: string, };

export type Stock = { 
/**
 * Units this show may sell.
 */
total: number, 
/**
 * Put aside by reservations.
 */
reserved: number, 
/**
 * Promised to orders, pending and paid.
 */
claimed: number, 
/**
 * Of the claimed, paid.
 */
paid: number, 
/**
 * Free now.
 */
available: number, 
/**
 * Buyers queueing in the waitlist.
 */
waiting: number, };

export type Listing = { 
/**
 * Id.
 */
id: string, 
/**
 * Of which product.
 */
product: string, 
/**
 * Which variant.
 */
sku: string, 
/**
 * The product's title.
 */
title: string, 
/**
 * The variant, such as "blue, M".
 */
variant?: string, 
/**
 * A few sentences.
 */
description?: string, 
/**
 * A path on this server.
 */
picture_url?: string, 
/**
 * Price of one unit.
 */
price: Money, 
/**
 * Most units one buyer may reserve and own together.
 */
per_buyer: number, 
/**
 * Place in the run of show, from 0.
 */
position: number, 
/**
 * Units.
 */
stock: Stock, };

export type Pin = { 
/**
 * Which.
 */
listing: string, 
/**
 * When the server took the command.
 */
pinned_at_ms: UnixMs, 
/**
 * The frame it belongs to. Show the card when this viewer's video reaches it; without it (no
 * video) show the card at once.
 */
media_time?: MediaTime, };

export type Author = { 
/**
 * For muting; says nothing else about the person.
 */
id: string, 
/**
 * Display name, cleaned of control and direction characters.
 */
name: string, 
/**
 * So that a host's words can be marked.
 */
role: Role, };

export type Comment = { 
/**
 * Id.
 */
id: string, 
/**
 * Who.
 */
author: Author, 
/**
 * What.
 */
text: string, 
/**
 * When.
 */
at_ms: UnixMs, 
/**
 * The frame on the author's screen.
 */
media_time?: MediaTime, };

export type ReservationState = "reserved" | "checking_out" | "claimed" | "released" | "expired";

export type Reservation = { 
/**
 * Id.
 */
id: string, 
/**
 * Of what.
 */
listing: string, 
/**
 * How many.
 */
quantity: number, 
/**
 * The price that was shown when it was made, and that an order made of it will have.
 */
unit_price: Money, 
/**
 * Life cycle.
 */
state: ReservationState, 
/**
 * When the units return, unless extended or checked out.
 */
expires_at_ms: UnixMs, 
/**
 * How often it may still be extended.
 */
extensions_left: number, 
/**
 * Made by the waitlist's turn rather than by a command.
 */
from_waitlist: boolean, 
/**
 * The order it became.
 */
order?: string, 
/**
 * The frame on the buyer's screen when they asked.
 */
media_time?: MediaTime, };

export type WaitlistPlace = { 
/**
 * For what.
 */
listing: string, 
/**
 * How many units.
 */
quantity: number, 
/**
 * From 1.
 */
position: number, };

export type OrderState = "pending" | "declined" | "paid" | "expired" | "canceled" | "refunding" | "refunded";

export type OrderLine = { 
/**
 * The reservation it was.
 */
reservation: string, 
/**
 * Of what.
 */
listing: string, 
/**
 * Title at the time of sale.
 */
title: string, 
/**
 * Variant at the time of sale.
 */
variant?: string, 
/**
 * Units.
 */
quantity: number, 
/**
 * Price of one.
 */
unit_price: Money, 
/**
 * `unit_price` times `quantity`.
 */
total: Money, };

export type PaymentPage = { 
/**
 * The provider's name, such as `sandbox`.
 */
provider: string, 
/**
 * The provider's page for this order, in the provider's own origin. It may be opened again
 * after a decline.
 */
url: string, };

export type Order = { 
/**
 * Id.
 */
id: string, 
/**
 * Short number for people, unique within the seller, such as "V-1042".
 */
number: string, 
/**
 * In which show.
 */
show: string, 
/**
 * Life cycle.
 */
state: OrderState, 
/**
 * What.
 */
lines: Array<OrderLine>, 
/**
 * Sum to pay.
 */
total: Money, 
/**
 * When it was made.
 */
created_at_ms: UnixMs, 
/**
 * Until when it may be paid.
 */
pay_by_ms: UnixMs, 
/**
 * When it was paid.
 */
paid_at_ms?: UnixMs, 
/**
 * Where to pay; missing until the provider answered, and once there is nothing to pay.
 */
payment?: PaymentPage, 
/**
 * Where it goes.
 */
delivery?: Delivery, 
/**
 * Grows with every change of this order.
 */
version: number, };

export type DeskReservation = { 
/**
 * Whose.
 */
buyer: string, 
/**
 * The buyer's display name.
 */
buyer_name: string, 
/**
 * What.
 */
reservation: Reservation, };

export type DeskOrder = { 
/**
 * Whose.
 */
buyer: string, 
/**
 * The buyer's display name.
 */
buyer_name: string, 
/**
 * What; with `delivery` for the fulfilment role only.
 */
order: Order, };

export type RefusalCode = "invalid" | "unauthenticated" | "forbidden" | "show_unknown" | "product_unknown" | "listing_unknown" | "reservation_unknown" | "order_unknown" | "comment_unknown" | "not_found" | "key_reused" | "not_live" | "show_state" | "sold_out" | "too_few" | "buyer_limit" | "waitlist_first" | "available" | "already_waiting" | "not_waiting" | "reservation_expired" | "reservation_closed" | "extension_limit" | "order_closed" | "below_committed" | "inventory_short" | "currency" | "duplicate_comment" | "muted" | "slow_mode" | "rate_limited" | "try_again" | "overloaded" | "payment_unavailable" | "internal";

export type Advice = "stop" | "change" | "retry" | "authenticate";

export type Problem = { 
/**
 * A reference to the code's documentation: `/docs/problems#<code>`.
 */
type: string, 
/**
 * The code in words.
 */
title: string, 
/**
 * The HTTP status.
 */
status: number, 
/**
 * What happened and what to do next.
 */
detail: string, 
/**
 * The code for programs, the same as on the channel.
 */
code: RefusalCode, 
/**
 * Find the request in the log by it.
 */
request_id?: string, 
/**
 * When to try again, if that can help.
 */
retry_after_ms?: number, };

export type NewShow = { 
/**
 * From 1 to 120 characters.
 */
title: string, 
/**
 * The one currency of its prices and orders.
 */
currency: string, 
/**
 * Announced start.
 */
starts_at_ms?: UnixMs, 
/**
 * Seconds, from 20 to 3600; default 120.
 */
reservation_ttl_s?: number, 
/**
 * Seconds, from 60 to 86400; default 600.
 */
order_deadline_s?: number, 
/**
 * Picture until the first frame.
 */
poster?: string, };

export type ShowPatch = { 
/**
 * From 1 to 120 characters.
 */
title?: string, 
/**
 * `live` or `ended`.
 */
state?: ShowState, 
/**
 * Announced start.
 */
starts_at_ms?: UnixMs, 
/**
 * Seconds, from 20 to 3600. Holds for reservations made afterwards.
 */
reservation_ttl_s?: number, 
/**
 * Seconds, from 60 to 86400. Holds for orders made afterwards.
 */
order_deadline_s?: number, };

export type Product = { 
/**
 * Id.
 */
id: string, 
/**
 * Title.
 */
title: string, 
/**
 * A few sentences.
 */
description?: string, 
/**
 * A path on this server.
 */
picture_url?: string, 
/**
 * Its variants.
 */
skus: Array<Sku>, 
/**
 * When it was made.
 */
created_at_ms: UnixMs, };

export type Sku = { 
/**
 * Id.
 */
id: string, 
/**
 * The seller's own article code, unique within the seller.
 */
code: string, 
/**
 * Such as "blue, M".
 */
variant?: string, 
/**
 * Price that a listing starts from.
 */
price: Money, 
/**
 * Units the seller owns.
 */
inventory: number, 
/**
 * Of these, given to shows that have not ended.
 */
allocated: number, };

export type NewProduct = { 
/**
 * From 1 to 120 characters.
 */
title: string, 
/**
 * At most 2000 characters.
 */
description?: string, 
/**
 * Uploaded before.
 */
picture?: string, 
/**
 * From 1 to 100 variants.
 */
skus: Array<NewSku>, };

export type NewSku = { 
/**
 * The seller's own article code, from 1 to 64 characters, unique within the seller.
 */
code: string, 
/**
 * At most 80 characters.
 */
variant?: string, 
/**
 * Price that a listing starts from.
 */
price: Money, 
/**
 * Units the seller owns.
 */
inventory: number, };

export type ProductPatch = { 
/**
 * From 1 to 120 characters.
 */
title?: string, 
/**
 * At most 2000 characters.
 */
description?: string, 
/**
 * Uploaded before.
 */
picture?: string, };

export type NewListing = { 
/**
 * Which sku of this seller.
 */
sku: string, 
/**
 * In the show's currency; without it the sku's price.
 */
price?: Money, 
/**
 * Units allocated from the inventory to this show.
 */
total: number, 
/**
 * Most units per buyer, from 1 to 100; default 2.
 */
per_buyer?: number, };

export type ListingPatch = { 
/**
 * Price of future reservations.
 */
price?: Money, 
/**
 * Units allocated.
 */
total?: number, 
/**
 * Most units per buyer, from 1 to 100.
 */
per_buyer?: number, };

export type Picture = { 
/**
 * To name it in products and shows.
 */
id: string, 
/**
 * A path on this server.
 */
url: string, };

export type TokenRequest = { "grant": "guest", 
/**
 * Which show.
 */
show: string, 
/**
 * Display name, from 1 to 40 characters; without it a made-up one.
 */
name?: string, } | { "grant": "code", 
/**
 * The code.
 */
code: string, } | { "grant": "refresh", 
/**
 * The token.
 */
token: string, };

export type TokenGrant = { 
/**
 * The JWT: `Authorization: Bearer` in REST, WHIP and WHEP; `Hello.token` on the channel.
 */
token: string, 
/**
 * Who it is.
 */
user: string, 
/**
 * Display name.
 */
name: string, 
/**
 * What it allows.
 */
role: Role, 
/**
 * For which show; absent: for all shows of the seller.
 */
show?: string, 
/**
 * When it runs out; refresh before.
 */
expires_at_ms: UnixMs, };

export type BroadcastHealth = { 
/**
 * A publisher is connected and sends.
 */
publishing: boolean, 
/**
 * Video and audio received from it, kilobits per second over the last second.
 */
kilobits_per_second: number, 
/**
 * Of its packets lost on the way to the server and not repaired, per cent over the last five
 * seconds. What was lost earlier is forgotten.
 */
loss_percent: number, 
/**
 * Round trip to the publisher.
 */
round_trip_ms?: number, 
/**
 * Video frames per second received.
 */
frames_per_second: number, 
/**
 * Viewers with video.
 */
subscribers: number, };

export type OpsSample = { 
/**
 * When it was taken.
 */
at_ms: UnixMs, 
/**
 * Name of the node.
 */
node: string, 
/**
 * Since this process started.
 */
uptime_s: number, 
/**
 * The four answers, in the order a person asks.
 */
answers: Array<OpsAnswer>, 
/**
 * Figures.
 */
figures: OpsFigures, 
/**
 * Shows that are not over, at most 100.
 */
shows: Array<OpsShow>, };

export type OpsAnswer = { 
/**
 * Which question.
 */
question: OpsQuestion, 
/**
 * Green.
 */
good: boolean, 
/**
 * What is wrong, in a sentence; absent when green.
 */
reason?: string, };

export type OpsQuestion = "video" | "buying" | "money" | "room";

export type OpsFigures = { 
/**
 * Sessions on the channel.
 */
viewers: number, 
/**
 * Subscribers with video.
 */
subscribers: number, 
/**
 * Publishers sending.
 */
publishers: number, 
/**
 * Sessions welcomed.
 */
joins_per_second: number, 
/**
 * Messages written to sessions.
 */
deliveries_per_second: number, 
/**
 * Reservations granted.
 */
reservations_per_second: number, 
/**
 * Orders made.
 */
orders_per_second: number, 
/**
 * Orders paid.
 */
paid_per_second: number, 
/**
 * RTP packets from publishers.
 */
media_packets_in_per_second: number, 
/**
 * RTP packets to subscribers.
 */
media_packets_out_per_second: number, 
/**
 * Publishers' packets lost, per cent.
 */
media_loss_percent: number, 
/**
 * Deepest private queue of a session.
 */
queue_depth_max: number, 
/**
 * Answers with status 5xx, internal refusals and failed background work.
 */
errors_per_second: number, 
/**
 * Resident memory of the process.
 */
memory_bytes: number, 
/**
 * Of one core.
 */
cpu_percent: number, 
/**
 * Open file descriptors.
 */
open_files: number, };

export type OpsShow = { 
/**
 * Id.
 */
id: string, 
/**
 * Title.
 */
title: string, 
/**
 * Life cycle.
 */
state: ShowState, 
/**
 * Sessions on the channel.
 */
viewers: number, 
/**
 * With video.
 */
subscribers: number, 
/**
 * Units reserved now.
 */
reserved: number, 
/**
 * Units paid.
 */
paid: number, };

/** What to do with a refusal. */
export const ADVICE: Record<RefusalCode, Advice> = {
  invalid: "change",
  unauthenticated: "authenticate",
  forbidden: "stop",
  show_unknown: "stop",
  product_unknown: "stop",
  listing_unknown: "stop",
  reservation_unknown: "stop",
  order_unknown: "stop",
  comment_unknown: "stop",
  not_found: "stop",
  key_reused: "change",
  not_live: "stop",
  show_state: "stop",
  sold_out: "stop",
  too_few: "change",
  buyer_limit: "stop",
  waitlist_first: "stop",
  available: "change",
  already_waiting: "stop",
  not_waiting: "stop",
  reservation_expired: "stop",
  reservation_closed: "stop",
  extension_limit: "stop",
  order_closed: "stop",
  below_committed: "change",
  inventory_short: "change",
  currency: "change",
  duplicate_comment: "stop",
  muted: "stop",
  slow_mode: "retry",
  rate_limited: "retry",
  try_again: "retry",
  overloaded: "retry",
  payment_unavailable: "retry",
  internal: "retry",
};

/** Close codes: why a session ended and what to do next. */
export type Return = "resume" | "authenticate" | "stay";
export const CLOSE_CODES: Record<number, { reason: string; next: Return }> = {
  1000: { reason: "done", next: "stay" },
  1002: { reason: "protocol error", next: "stay" },
  1003: { reason: "wrong kind of frame for this sub-protocol", next: "stay" },
  1007: { reason: "malformed frame", next: "stay" },
  1009: { reason: "frame too big", next: "stay" },
  1011: { reason: "internal error", next: "resume" },
  4001: { reason: "no Hello in time", next: "resume" },
  4002: { reason: "Hello must come first and once", next: "stay" },
  4003: { reason: "token not valid", next: "authenticate" },
  4004: { reason: "token expired", next: "authenticate" },
  4005: { reason: "banned", next: "stay" },
  4006: { reason: "no such show", next: "stay" },
  4007: { reason: "reading too slowly", next: "resume" },
  4008: { reason: "too many sessions", next: "resume" },
  4009: { reason: "node is leaving", next: "resume" },
  4010: { reason: "too many messages", next: "stay" },
};

export const SUBPROTOCOL_MSGPACK = "vetrina.v1.msgpack";
export const SUBPROTOCOL_JSON = "vetrina.v1.json";
export const FRAME_BYTES_MAX = 65536;
export const MESSAGES_PER_FRAME_MAX = 64;
export const COMMENT_CHARS_MAX = 300;
export const NAME_CHARS_MAX = 40;
export const BAG_LINES_MAX = 20;
