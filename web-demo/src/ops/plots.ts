// Which plots there are, in which order, and how their figures are written.
import type { OpsWords } from '../words/ops.en';
import type { Figure } from './history.svelte';

export type Unit = 'count' | 'rate' | 'percent' | 'bytes';

export interface PlotPlan {
  readonly title: keyof OpsWords['plots'];
  readonly unit: Unit;
  readonly series: readonly { readonly figure: Figure; readonly label: keyof OpsWords['series'] }[];
}

export const PLOTS: readonly PlotPlan[] = [
  {
    title: 'viewers',
    unit: 'count',
    series: [
      { figure: 'viewers', label: 'onChannel' },
      { figure: 'subscribers', label: 'withVideo' },
    ],
  },
  { title: 'joins', unit: 'rate', series: [{ figure: 'joins_per_second', label: 'joins' }] },
  {
    title: 'deliveries',
    unit: 'rate',
    series: [{ figure: 'deliveries_per_second', label: 'deliveries' }],
  },
  {
    title: 'reservations',
    unit: 'rate',
    series: [{ figure: 'reservations_per_second', label: 'granted' }],
  },
  {
    title: 'orders',
    unit: 'rate',
    series: [
      { figure: 'orders_per_second', label: 'made' },
      { figure: 'paid_per_second', label: 'paid' },
    ],
  },
  {
    title: 'packets',
    unit: 'rate',
    series: [
      { figure: 'media_packets_out_per_second', label: 'out' },
      { figure: 'media_packets_in_per_second', label: 'in' },
    ],
  },
  { title: 'loss', unit: 'percent', series: [{ figure: 'media_loss_percent', label: 'lost' }] },
  { title: 'queue', unit: 'count', series: [{ figure: 'queue_depth_max', label: 'deepest' }] },
  { title: 'errors', unit: 'rate', series: [{ figure: 'errors_per_second', label: 'errors' }] },
  { title: 'cpu', unit: 'percent', series: [{ figure: 'cpu_percent', label: 'ofOneCore' }] },
  { title: 'memory', unit: 'bytes', series: [{ figure: 'memory_bytes', label: 'resident' }] },
  { title: 'files', unit: 'count', series: [{ figure: 'open_files', label: 'open' }] },
];

/** Writes a figure down; short, because it stands beside a plot. */
export function writeFigure(value: number, unit: Unit, tag: string): string {
  if (unit === 'bytes') {
    const megabytes = value / 1_048_576;
    const [amount, name] = megabytes < 1024 ? [megabytes, 'MiB'] : [megabytes / 1024, 'GiB'];
    return `${new Intl.NumberFormat(tag, { maximumFractionDigits: 1 }).format(amount)} ${name}`;
  }
  if (unit === 'percent') {
    const format = { style: 'percent', maximumFractionDigits: 1 } as const;
    return new Intl.NumberFormat(tag, format).format(value / 100);
  }
  const compact = Math.abs(value) >= 10_000;
  return new Intl.NumberFormat(tag, {
    notation: compact ? 'compact' : 'standard',
    maximumFractionDigits: unit === 'rate' && value < 100 ? 1 : compact ? 1 : 0,
  }).format(value);
}

/** Time a process is up: "3 d 4 h", "12 min", "40 s". */
export function writeUptime(seconds: number): string {
  const [days, hours] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3_600) % 24];
  const minutes = Math.floor(seconds / 60) % 60;
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min` : `${Math.floor(seconds)} s`;
}
