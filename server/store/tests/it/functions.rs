//! The Redis Functions against a real Redis: they answer and tell exactly what core's `ShowStock`
//! does, touch only the keys that they were given, and are fast.

mod cast;
mod model;
mod play;

mod server;
mod shared;
