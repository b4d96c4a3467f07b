// The real server in a folder of its own, on free ports, with the seeded demo show; and the links
// it prints. Knows how to start, to talk REST as the host, and to stop.
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { ShowPatch, Show, TokenGrant } from '@vetrina/client';

const START_MS_MAX = 60_000;
const STOP_MS_MAX = 30_000;
const LOG_CHARS_MAX = 200_000;

export interface Links {
  /** With its one-use code. */
  readonly studio: string;
  readonly watch: string;
  /** With its one-use code, on the ops listener. */
  readonly ops: string;
}

export class Server {
  #grant: TokenGrant | undefined;

  private constructor(
    private readonly child: ChildProcess,
    private readonly folder: string,
    private readonly output: () => string,
    readonly links: Links,
  ) {}

  static async start(...flags: string[]): Promise<Server> {
    const binary = resolve(process.env['VETRINA_BIN'] ?? '../target/debug/vetrina');
    if (!existsSync(binary)) {
      throw new Error(`no server at ${binary}: run \`cargo build -p vetrina\`, or set VETRINA_BIN`);
    }
    const folder = await mkdtemp(join(tmpdir(), 'vetrina-browser-'));
    const free = '127.0.0.1:0';
    const child = spawn(
      binary,
      [
        ...['demo', '--data-dir', folder, '--listen', free, '--ops-listen', free],
        ...['--sandbox-listen', free, '--udp-port', '0', ...flags],
      ],
      // Enter would print fresh links; an end of the input must not end the server.
      { stdio: ['pipe', 'pipe', 'pipe'] },
    );
    let output = '';
    const links = await new Promise<Links>((done, fail) => {
      const timer = setTimeout(
        () => fail(new Error(`no links within ${START_MS_MAX} ms:\n${output}`)),
        START_MS_MAX,
      );
      const heard = (chunk: Buffer) => {
        output = (output + chunk.toString()).slice(-LOG_CHARS_MAX);
        const found = linksIn(output);
        if (!found) return;
        clearTimeout(timer);
        done(found);
      };
      child.stdout.on('data', heard);
      child.stderr.on('data', heard);
      child.once('exit', (code) => fail(new Error(`the server ended with ${code}:\n${output}`)));
    });
    return new Server(child, folder, () => output, links);
  }

  get origin(): string {
    return new URL(this.links.watch).origin;
  }

  /** The demo show. */
  get show(): string {
    return decodeURIComponent(new URL(this.links.watch).pathname.split('/')[2] ?? '');
  }

  get log(): string {
    return this.output();
  }

  /** The host's token. The link's code is good once: who wants to open the link itself does not
   *  ask for this before. */
  async host(): Promise<TokenGrant> {
    this.#grant ??= await this.#exchange(this.links.studio);
    return this.#grant;
  }

  async changeShow(patch: ShowPatch): Promise<Show> {
    const { token } = await this.host();
    const response = await fetch(`${this.origin}/v1/shows/${this.show}`, {
      method: 'PATCH',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(patch),
    });
    if (!response.ok) throw new Error(`PATCH show: ${response.status} ${await response.text()}`);
    return (await response.json()) as Show;
  }

  /** It hears and says nothing until `resume`: to its clients the network has broken off. */
  pause(): void {
    this.child.kill('SIGSTOP');
  }

  resume(): void {
    this.child.kill('SIGCONT');
  }

  /** Ends it as Ctrl-C does; fails when it does not end cleanly. */
  async stop(): Promise<void> {
    const { child } = this;
    const ended = new Promise<number | null>((done) => child.once('exit', (code) => done(code)));
    child.kill('SIGINT');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX);
    const code = child.exitCode ?? (await ended);
    clearTimeout(timer);
    await rm(this.folder, { recursive: true, force: true });
    if (code !== 0) throw new Error(`the server ended with ${code}:\n${this.log.slice(-4_000)}`);
  }

  async #exchange(link: string): Promise<TokenGrant> {
    const code = new URLSearchParams(new URL(link).hash.slice(1)).get('code');
    const response = await fetch(`${this.origin}/v1/tokens`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ grant: 'code', code }),
    });
    if (!response.ok) throw new Error(`POST token: ${response.status} ${await response.text()}`);
    return (await response.json()) as TokenGrant;
  }
}

function linksIn(output: string): Links | undefined {
  const plain = output.replace(/\u001b\[[0-9;]*m/g, '');
  const find = (path: RegExp) => plain.match(/https?:\/\/\S+/g)?.find((url) => path.test(url));
  const studio = find(/\/studio\/[^#]+#code=/);
  const watch = find(/\/watch\/[^/#]+$/);
  const ops = find(/\/ops#code=/);
  return studio && watch && ops ? { studio, watch, ops } : undefined;
}
