// A host for the destination plugin in JavaScript, for Node 24 or later: one run, from a job file to its report.
//
//     jco transpile s3_destination.wasm --name destination --instantiation async --async-mode jspi --out-dir FOLDER \
//         --async-imports "$HTTP#[method]exchange.wait" "$HTTP#wait-any" --async-exports "$EXPORTER#finish" and so on
//     node host.mjs FOLDER/destination.js JOB.json
//
// with HTTP=batch-export:destination/http@0.1.0 and EXPORTER=batch-export:destination/exporter@0.1.0. The exports that
// wait are check, encode-batch, finish and recover.
//
// Exports and waiting imports are promises: the engine suspends the plugin (JSPI), and requests go on meanwhile.

import { createHash, createHmac } from 'node:crypto';
import { appendFileSync, fsyncSync, openSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';

const job = JSON.parse(readFileSync(process.argv[3], 'utf8'));
const transpiled = resolve(process.argv[2]);
const notes = openSync(job.notes, 'a');
let grants = []; // none until the plan is known: nothing leaves before
let scopes = [];

const POLYNOMIALS = { crc64nvme: [0x9a6c9329ac4bc9b5n, 8], crc32c: [0x82f63b78n, 4], crc32: [0xedb88320n, 4] };

/** An error of the contract as jco expects it: what happened, and what to do about it where the host knows. */
const failed = (tag, message, hint) => ({ tag, val: { message, hint } });

/** A failure in words: each case but `defect` holds what happened apart from what to do about it. */
function told({ tag, val }) {
    if (tag === 'defect') return `defect: ${val}`;
    const reasons = tag === 'config' ? val : [val.reason ?? val];
    return `${tag}: ${reasons.map(({ message, hint }) => message + (hint ? ` (hint: ${hint})` : '')).join('; ')}`;
}

/** Whether a grant covers the request: method, origin, start of the path, exact query keys, headers. */
function isGranted({ method, headers }, url) {
    const query = [...url.searchParams.keys()].sort().join();
    const hasHeader = (grant, name) =>
        grant.headers.some((each) => (each.endsWith('*') ? name.startsWith(each.slice(0, -1)) : name === each));
    return grants.some((grant) => grant.method === method
        && grant.origin === url.origin
        && url.pathname.startsWith(grant.pathPrefix)
        && [...grant.query].sort().join() === query
        && headers.every(([name]) => hasHeader(grant, name)));
}

/** Carries one request; returns the response, or throws the transport error as jco expects it. */
async function carry(request, body) {
    const url = new URL(request.url);
    if (!isGranted(request, url)) throw failed('forbidden', `no grant covers ${request.method} ${url.pathname}`);
    await delay(request.delayMs);
    const method = request.method.toUpperCase();
    try {
        const response = await fetch(request.url, {
            method, headers: request.headers, body, redirect: 'manual', signal: AbortSignal.timeout(request.timeoutMs),
        });
        const content = new Uint8Array(await response.arrayBuffer());
        return { status: response.status, headers: [...response.headers], body: content };
    } catch (error) {
        throw failed(error.name === 'TimeoutError' ? 'timeout' : 'interrupted', String(error.cause ?? error));
    }
}

class Payload {
    constructor(bytes, digests) {
        this.bytes = bytes.slice();
    }
    /** SHA-256, or one of three CRCs, which differ in their polynomial only. */
    digest(algorithm) {
        if (algorithm === 'sha256') return new Uint8Array(createHash('sha256').update(this.bytes).digest());
        const [polynomial, size] = POLYNOMIALS[algorithm];
        const step = (value) => (value >> 1n) ^ (value & 1n ? polynomial : 0n);
        const table = Array.from({ length: 256 }, (_, at) => Array(8).fill().reduce(step, BigInt(at)));
        const ones = (1n << BigInt(8 * size)) - 1n;
        let crc = ones;
        for (const byte of this.bytes) crc = (crc >> 8n) ^ table[Number(crc & 0xffn) ^ byte];
        const hexadecimal = (crc ^ ones).toString(16).padStart(2 * size, '0');
        return new Uint8Array(Buffer.from(hexadecimal, 'hex'));
    }
}

class Exchange {
    constructor(response) {
        this.response = response;
        this.response.catch(() => {}); // it is told where it is waited for
    }
    async wait() {
        return await this.response;
    }
}

const http = {
    Payload,
    Exchange,
    send: (request) => new Exchange(carry(request, request.body?.bytes)),
    waitAny: (exchanges) => Promise.race(exchanges.map((each, at) => each.response.then(() => at, () => at))),
};

/** The signing key of one date, region and service; the secret itself stays here. */
function scopedKey(service, region, refresh) {
    if (!scopes.some((scope) => scope.service === service && scope.region === region)) {
        throw failed('forbidden', `the plan does not sign for ${service} in ${region}`);
    }
    const now = new Date();
    const parts = [now.toISOString().slice(0, 10).replaceAll('-', ''), region, service, 'aws4_request'];
    const key = parts.reduce((key, part) => createHmac('sha256', key).update(part).digest(), `AWS4${job.secret_key}`);
    const timestamp = BigInt(Math.floor(now.getTime() / 1000));
    return { accessKeyId: job.access_key, sessionToken: undefined, timestamp, key: new Uint8Array(key) };
}

/** Keeps a note until the run is over: a durable one is on disk before the plugin goes on. */
function note(content, durable) {
    appendFileSync(notes, `${Buffer.from(content).toString('hex')}\n`);
    if (durable) fsyncSync(notes);
}

/** The messages of an Arrow IPC stream: each says the length of its metadata, and there the length of its body. */
function* messages(stream) {
    const view = new DataView(stream.buffer, stream.byteOffset, stream.length);
    for (let at = 0, end; view.getInt32(at + 4, true) > 0; at = end) {
        const message = at + 8 + view.getInt32(at + 8, true);
        const slots = message - view.getInt32(message, true);
        const bodyLength = view.getUint16(slots, true) > 10 ? view.getUint16(slots + 10, true) : 0; // the fourth field
        const body = bodyLength ? Number(view.getBigInt64(message + bodyLength, true)) : 0;
        end = at + 8 + view.getInt32(at + 4, true) + body;
        yield stream.subarray(at, end);
    }
}

const { instantiate } = await import(pathToFileURL(transpiled));
const compile = async (name) => WebAssembly.compile(await readFile(join(dirname(transpiled), name)));
const { exporter } = await instantiate(compile, {
    'batch-export:destination/http': http,
    'batch-export:destination/signer': { scopedKey },
    'batch-export:destination/journal': { note },
    'batch-export:destination/log': { write: (level, line) => console.error(`${level}: ${JSON.stringify(line)}`) },
});
/** Calls an export; a failure ends the run. */
async function call(name, ...args) {
    try {
        return await exporter[name](...args);
    } catch (error) {
        if (error.payload === undefined) throw error; // a trap
        console.error(`${name}: ${told(error.payload)}`);
        process.exit(1);
    }
}

const pluginDigest = createHash('sha256').update(readFileSync(job.component)).digest('hex');
const interval = { start: BigInt(job.start), end: BigInt(job.end) };
const run = { ...job.run, interval, pluginDigest, timeLimitSeconds: undefined };
const configuration = JSON.stringify(job.configuration);
// A host for plugins that it does not trust intersects these with its operator's policy.
({ grants, signing: scopes } = await call('plan', configuration, run));

const [schema, ...batches] = messages(readFileSync(job.rows));
await call('configure', configuration, run, schema);
for (const batch of batches) await call('encodeBatch', batch);
const report = await call('finish', BigInt(job.row_count));
console.log(JSON.stringify({ rows: Number(report.rowsExported), keys: report.files.map((file) => file.key) }));
