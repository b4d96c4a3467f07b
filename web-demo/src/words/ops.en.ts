// Messages of the ops page, English.
import type { OpsQuestion, ShowState } from '@vetrina/client';
import { pluralOf } from './plural';

const plural = pluralOf('en');

export const en = {
  title: 'Ops',
  questions: {
    video: 'Do viewers see video?',
    buying: 'Can buyers buy?',
    money: 'Is the money right?',
    room: 'Do we have room?',
  } satisfies Record<OpsQuestion, string>,
  yes: 'Yes',
  no: 'No',
  unknown: 'Not known',
  unknownReason: 'No figures from the server at the moment.',
  allGood: 'All four answers are green',
  notGood: (count: number) =>
    plural(count, { one: '# answer needs attention', other: '# answers need attention' }),
  range: 'Time shown',
  range15: '15 min',
  range60: '1 h',
  feed: { connecting: 'Connecting', open: 'Live', refused: 'Not signed in' },
  silent: (seconds: number) =>
    plural(seconds, {
      one: 'No figures for # second. Reconnecting; what you see below is old.',
      other: 'No figures for # seconds. Reconnecting; what you see below is old.',
    }),
  waiting: 'Waiting for the first figures',
  node: 'Node',
  uptime: 'Running for',
  memory: 'Memory',
  cpu: 'CPU',
  files: 'Open files',
  nodes: 'Nodes',
  shows: 'Shows',
  noShows: 'No show is planned or on air. One that is made by REST or by the demo appears here.',
  show: 'Show',
  state: 'State',
  viewers: 'Viewers',
  withVideo: 'With video',
  reserved: 'Reserved',
  paid: 'Paid',
  states: {
    scheduled: 'Scheduled',
    live: 'On air',
    interrupted: 'Interrupted',
    ended: 'Ended',
    replay: 'Replay',
  } satisfies Record<ShowState, string>,
  plotsTitle: 'Figures',
  plots: {
    viewers: 'Viewers',
    joins: 'Joins per second',
    deliveries: 'Deliveries per second',
    reservations: 'Reservations per second',
    orders: 'Orders per second',
    packets: 'Media packets per second',
    loss: 'Loss from publishers',
    queue: 'Queue depth',
    errors: 'Errors per second',
    cpu: 'CPU, of one core',
    memory: 'Memory',
    files: 'Open files',
  },
  series: {
    onChannel: 'on the channel',
    withVideo: 'with video',
    joins: 'joins',
    deliveries: 'messages',
    granted: 'granted',
    made: 'made',
    paid: 'paid',
    in: 'in',
    out: 'out',
    lost: 'lost',
    deepest: 'deepest',
    errors: 'errors',
    ofOneCore: 'used',
    resident: 'resident',
    open: 'open',
  },
  highest: (value: string) => `highest ${value}`,
  entry: {
    no_code: 'This page opens by a one-use link',
    refused: 'This link does not work any more',
    unreachable: 'The server does not answer',
    help:
      'Ask the server for a new link: it prints one when it starts. ' +
      'A link works once and for 60 seconds.',
    helpUnreachable: 'Check that it is running and that this device reaches it.',
  },
};

export type OpsWords = typeof en;
