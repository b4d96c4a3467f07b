// Messages of the ops page, English.
import type { OpsQuestion, ShowState } from '@vetrina/client';
import type { AlertKind } from '../ops/alerts';
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
  alerts: {
    title: 'Alerts',
    none: 'Nothing asks for you now. What does appears here, with what to do.',
    silent: 'The server sends no figures',
    silentTodo: [
      'Look whether it runs, and what its log said last.',
      'Look whether this device reaches it: its ops address is a port of its own.',
      'What was confirmed to buyers is on disk; after a start viewers come back by themselves.',
    ],
    over: 'Over by now',
    began: (when: string) => `began ${when}`,
    ended: (when: string) => `over ${when}`,
    of: {
      buying: (reason: string) => reason,
      money: (reason: string) => reason,
      room: (reason: string) => reason,
      interrupted: (show: string) => `${show}: on air without a picture from the host`,
      few_video: (show: string, having: number, all: number) =>
        `${show}: ${having} of ${all} viewers have the picture`,
      loss: (percent: string) => `${percent} of what hosts send is lost on the way`,
      errors: (rate: string) => `The server fails ${rate} times per second`,
    },
    todo: {
      buying: [
        'Look in the log for lines of level ERROR: they name the store and what it said.',
        'A full disk or a database that is away are the usual causes.',
        'Nothing that was confirmed is lost: buyers can go on when the store is back.',
      ],
      money: [
        'Without a provider: set --payment, then start again.',
        'Else look at the status page of the provider; its answers are in the log.',
        'Nobody is charged twice: open payments are asked for until there is an answer.',
      ],
      room: [
        'Viewers beyond the limit are asked to come back, and do so by themselves.',
        'Raise --sessions-max if CPU and memory below leave room, or start another node.',
      ],
      interrupted: [
        'Ask the host: the studio offers “Back on air”; OBS has to start streaming again.',
        'If the host sees a good upload, look whether UDP reaches this server: --udp-port.',
        'Viewers stay and are told; the picture comes back to them by itself.',
      ],
      few_video: [
        'Look whether viewers reach the media port by UDP: --udp-port, and the firewall.',
        'Set --public-ip to the address that viewers reach this server by.',
      ],
      loss: [
        'Ask the host to use a cable, or to come closer to the access point.',
        'Lower the bitrate of OBS; the studio lowers its own by itself.',
      ],
      errors: [
        'Look in the log for lines of level ERROR: each failure is there once, with its request.',
        'If it began with a new version, go back to the one before.',
      ],
    } satisfies Record<AlertKind, string[]>,
  },
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
