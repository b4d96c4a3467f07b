// @vetrina/client: everything a page needs to talk to a Vetrina server, and nothing that draws.
export * from './generated/wire.ts';
