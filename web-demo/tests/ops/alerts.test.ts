// Alerts from samples: after they held, until they have been gone for a while.
import type { OpsSample } from '@vetrina/client';
import { describe, expect, test } from 'vitest';
import { Alerts } from '../../src/ops/alerts';

const START = 1_000_000;

function sample(second: number, change: (sample: OpsSample) => void = () => {}): OpsSample {
  const figures = { media_loss_percent: 0, errors_per_second: 0 };
  const questions = ['video', 'buying', 'money', 'room'] as const;
  const made = {
    at_ms: START + second * 1_000,
    answers: questions.map((question) => ({ question, good: true })),
    shows: [{ id: 's', title: 'Sale', state: 'live', viewers: 10, subscribers: 9 }],
    figures,
  } as unknown as OpsSample;
  change(made);
  return made;
}

const interrupted = (one: OpsSample) => void (one.shows[0]!.state = 'interrupted');
const kinds = (alerts: readonly { kind: string }[]) => alerts.map(({ kind }) => kind);

describe('alerts', () => {
  test('nothing wrong, nothing said', () => {
    const alerts = new Alerts();
    for (let second = 0; second < 60; second += 1) alerts.add(sample(second));
    expect(alerts.active).toEqual([]);
    expect(alerts.over).toEqual([]);
  });

  test('an interruption is told once it has lasted, and when it was over', () => {
    const alerts = new Alerts();
    for (let second = 0; second < 5; second += 1) alerts.add(sample(second, interrupted));
    expect(alerts.active).toEqual([]);
    for (let second = 5; second <= 20; second += 1) alerts.add(sample(second, interrupted));
    expect(alerts.active).toMatchObject([{ kind: 'interrupted', subject: 'Sale', since: START }]);
    for (let second = 21; second < 30; second += 1) alerts.add(sample(second));
    expect(kinds(alerts.active)).toEqual(['interrupted']);
    alerts.add(sample(30));
    expect(alerts.active).toEqual([]);
    expect(alerts.over).toMatchObject([{ since: START, over: START + 20_000 }]);
    alerts.add(sample(30 + 3_600));
    expect(alerts.over).toEqual([]);
  });

  test('a blink is nobody\u2019s business', () => {
    const alerts = new Alerts();
    for (let second = 0; second < 3; second += 1) alerts.add(sample(second, interrupted));
    for (let second = 3; second < 30; second += 1) alerts.add(sample(second));
    expect(alerts.over).toEqual([]);
  });

  test('what comes and goes is one trouble', () => {
    const alerts = new Alerts();
    for (let second = 0; second < 40; second += 1) {
      alerts.add(sample(second, (one) => (one.figures.errors_per_second = second % 8 ? 0 : 2)));
    }
    expect(alerts.active).toMatchObject([{ kind: 'errors', since: START, amount: 2 }]);
    expect(alerts.over).toEqual([]);
  });

  test('answers bring the reason of the server', () => {
    const alerts = new Alerts();
    const reason = 'the stores failed 3 times in the last minute';
    alerts.add(
      sample(0, (one) => (one.answers[1] = { question: 'buying', good: false, reason })),
    );
    expect(alerts.active).toMatchObject([{ kind: 'buying', subject: reason }]);
  });

  test('viewers without video, and loss, after they held', () => {
    const alerts = new Alerts();
    for (let second = 0; second <= 20; second += 1) {
      alerts.add(
        sample(second, (one) => {
          one.shows[0]!.subscribers = 4;
          one.figures.media_loss_percent = 3;
        }),
      );
    }
    expect(kinds(alerts.active)).toEqual(['few_video', 'loss']);
    expect(alerts.active[0]).toMatchObject({ amount: 4, of: 10 });
  });

  test('the list of what is over is bounded', () => {
    const alerts = new Alerts();
    for (let second = 0; second < 400; second += 1) {
      alerts.add(sample(second, (one) => (one.figures.errors_per_second = second % 20 ? 0 : 1)));
    }
    expect(alerts.over).toHaveLength(5);
  });
});
