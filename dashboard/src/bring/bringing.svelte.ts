/**
 * Bringing a brand's pictures: what is given, what the check found of it, its columns, its name.
 *
 * Nothing that was given is lost until a run has been started or it is thrown away: neither by an
 * error nor by going back. Each answer belongs to the newest request; older ones are stopped.
 */

import { ApiError, tell } from '../api/client';
import type { SourceCheck, SourceTypeShown, TaskShown, Upload } from '../api/types';
import { type Guess, guess, PICTURE, sourceText } from './address';
import { brandOfAddress, brandOfFile, brandOfUrls, checkBrand } from './brandName';
import {
  columnsOf,
  FOUND,
  foundMapping,
  hasColumns,
  likely,
  type Mapping,
  type Use,
  withColumns,
  withUse,
} from './columns';
import { checkFiles } from './file';
import { type Pasted, readPasted } from './pasted';
import { plural } from '../format';

/** What a run is started from: a source, or URLs; null stands for the brand's usual source. */
export type Origin = { source: string } | { urls: string[] } | null;

/** What the server is asked for. */
export interface Server {
  types(): Promise<readonly SourceTypeShown[]>;
  check(origin: NonNullable<Origin>, brand: string, signal: AbortSignal): Promise<SourceCheck>;
  upload(file: File, progress: (share: number) => void, signal: AbortSignal): Promise<Upload>;
  start(brand: string, origin: Origin, replace: boolean): Promise<TaskShown>;
}

export type Step = 'bring' | 'check' | 'start';

/** Why the server, or a check before it, would not go on. */
export interface Refused {
  message: string;
  remedy?: string;
  field?: string;
}

/** Names of a list's brands that a check tells at most; with so many there may be more. */
const BRANDS_TOLD = 10;

export class Bringing {
  step = $state<Step>('bring');
  text = $state('');
  /** The kind that was chosen for an address, in place of the guess. */
  chosen = $state<string | null>(null);
  file = $state.raw<File | null>(null);
  /** The kinds of sources that the server has; null until it has answered. */
  types = $state.raw<readonly SourceTypeShown[] | null>(null);
  /** Why the kinds could not be loaded. */
  typesError = $state.raw<unknown>(undefined);
  /** A brand whose usual source is taken. */
  again = $state<string | null>(null);
  name = $state('');
  mapping = $state.raw<Mapping>(FOUND);
  /** The column that was taken because of its values. */
  guessed = $state<string | null>(null);
  found = $state.raw<SourceCheck | null>(null);
  /** Some values of each column. */
  samples = $state.raw<Readonly<Record<string, readonly string[]>>>({});
  refused = $state.raw<Refused | null>(null);
  checking = $state(false);
  /** The share of the file that has been sent; null while nothing is being sent. */
  sent = $state<number | null>(null);
  starting = $state(false);
  tried = $state(false);
  /** The active run that is in the way, and the source that it has. */
  active = $state.raw<{ run: string; source: string } | null>(null);

  readonly pasted: Pasted = $derived(readPasted(this.text));
  readonly guess: Guess | null = $derived(
    this.pasted.kind === 'address' ? guess(this.pasted.text, this.types ?? []) : null,
  );
  /** The kind of the address: chosen, else guessed. */
  readonly scheme: string | null = $derived(this.chosen ?? this.guess?.scheme ?? null);
  readonly dirty: boolean = $derived(this.file !== null || this.text.trim() !== '');
  /** Until when the server keeps what was sent, if no brand has it as its source. */
  kept = $state<string | null>(null);
  /** What is missing before it can be checked; null if nothing is. */
  readonly missing: string | null = $derived(this.#missing());
  readonly wrongName: string | null = $derived(this.tried ? this.#wrongName() : null);
  readonly brands: readonly string[] = $derived(
    this.found?.brand === null && this.found.lists.some((list) => list.brand_column)
      ? this.found.brands
      : [],
  );
  /** The columns that may be chosen; empty where there are none. */
  readonly names: readonly string[] = $derived(
    this.found?.lists[0]?.columns ?? Object.keys(this.samples),
  );
  /** Why a run would refuse the list: none of its columns holds addresses. */
  readonly problem: string | null = $derived(
    this.found?.lists.find((list) => list.problem)?.problem ?? null,
  );
  /** Whether a run of what was found can be started. */
  readonly usable: boolean = $derived(
    this.found !== null && this.problem === null && this.refused === null,
  );
  readonly busy: boolean = $derived(this.checking || this.sent !== null || this.starting);

  readonly #server: Server;
  #request: AbortController | null = null;
  #typesRequest: Promise<readonly SourceTypeShown[]> | null = null;
  #uploaded: { file: File; made: Upload } | null = null;
  #pastedFile: { text: string; file: File } | null = null;
  #named = false;

  constructor(server: Server) {
    this.#server = server;
  }

  /** Take the files that were dropped or chosen; what is wrong with them is said. */
  takeFiles(files: readonly File[]): boolean {
    const wrong = checkFiles(files);
    this.refused = wrong;
    if (wrong) return false;
    this.#forget();
    this.file = files[0]!;
    this.again = null;
    return true;
  }

  takeText(text: string): void {
    if (text === this.text && !this.file) return;
    this.#forget();
    this.text = text;
    this.file = null;
    this.again = null;
    this.chosen = null;
  }

  choose(scheme: string): void {
    this.#forget();
    this.chosen = scheme;
  }

  /** Give the file back: the text, if there was one, is what is brought again. */
  dropFile(): void {
    this.#forget();
    this.file = null;
  }

  /** Take a brand's usual source: there is nothing to check or to name. */
  runAgain(brand: string): void {
    this.#forget();
    this.again = brand;
    this.name = brand;
    this.#named = true;
    this.step = 'start';
  }

  back(): void {
    this.stop();
    this.refused = this.active = null;
    this.step = this.step === 'start' && this.again === null ? 'check' : 'bring';
    if (this.again !== null) {
      this.again = null;
      this.name = '';
      this.#named = false;
    }
  }

  /** Stop what is being sent or read. What was given stays. */
  stop(): void {
    this.#request?.abort();
    this.#request = null;
    this.checking = false;
    this.sent = null;
  }

  /** Stop because somebody wants to. */
  cancel(): void {
    this.stop();
    this.refused = { message: 'Stopped. What you brought is still here.' };
  }

  /** Load the kinds of sources, unless they are here; `typesError` says why they are not. */
  async loadTypes(): Promise<void> {
    if (this.types !== null) return;
    const request = (this.#typesRequest ??= this.#server.types());
    try {
      this.types = await request;
      this.typesError = undefined;
    } catch (error) {
      this.typesError = error;
    } finally {
      if (this.#typesRequest === request) this.#typesRequest = null;
    }
  }

  /** Go on to the check, with what is given; or say what is missing. */
  async toCheck(): Promise<void> {
    this.refused = null;
    if (this.types === null && !this.file && this.pasted.kind === 'address') {
      // What an address is shows only beside the kinds that there are.
      const { text } = this;
      this.checking = true;
      await this.loadTypes();
      this.checking = false;
      if (this.types === null || this.text !== text) return;
    }
    this.refused = this.missing === null ? null : { message: this.missing };
    if (this.refused) return;
    this.step = 'check';
    if (this.found === null) await this.check();
  }

  /** Check what was given, as its columns are chosen. Nothing is started. */
  async check(): Promise<void> {
    this.stop();
    const request = new AbortController();
    this.#request = request;
    this.refused = this.active = null;
    this.checking = true;
    try {
      const origin = await this.#origin(request.signal);
      await this.#look(origin, request.signal);
    } catch (error) {
      if (this.#request === request) {
        this.found = null; // It is not of what is asked for now.
        this.#refuse(error);
      }
    } finally {
      if (this.#request === request) this.stop();
    }
  }

  /** Use a column in another way, and check again. */
  async use(column: string, use: Use): Promise<void> {
    this.guessed = null;
    const now = this.mapping.urls.length || !this.found ? this.mapping : this.#mappingFound();
    this.mapping = withUse(column, use, now);
    if (this.mapping.urls.length > 0) await this.check();
    else {
      this.stop();
      this.refused = { message: 'Choose the column that has the addresses of the pictures.' };
    }
  }

  /** The columns that are in use: as chosen, else as found. */
  mappingNow(): Mapping {
    return this.mapping.urls.length || !this.found ? this.mapping : this.#mappingFound();
  }

  toStart(): void {
    this.tried = false;
    this.refused = null;
    if (!this.#named) this.name = this.suggestion();
    this.step = 'start';
  }

  rename(name: string): void {
    this.name = name;
    this.#named = name.trim() !== '';
    if (this.step === 'start') this.refused = this.active = null;
  }

  /** A name for the brand, by what was brought; empty if nothing suggests one. */
  suggestion(): string {
    if (this.brands.length) return this.brands.length === 1 ? this.brands[0]! : '';
    if (this.file) return brandOfFile(this.file.name);
    if (this.pasted.kind === 'urls') return brandOfUrls(this.pasted.urls);
    if (this.pasted.kind === 'address') {
      const place = this.pasted.text.split(/[?#]/)[0]!;
      return brandOfAddress(place) || brandOfFile(place.slice(place.lastIndexOf('/') + 1));
    }
    return '';
  }

  /** What a run is started of, in a few words; null for a brand's usual source. */
  summary(): string | null {
    if (this.again !== null || !this.found) return null;
    const pictures = plural(this.found.items - this.found.items_failed, 'picture');
    const more = this.found.whole ? '' : ' and more';
    const urls = this.found.lists[0]?.url_columns ?? [];
    const columns = urls.length ? `, addresses in ${urls.join(', ')}` : '';
    return `${pictures}${more} from ${this.#title()}${columns}`;
  }

  #title(): string {
    if (this.file) return this.file.name;
    if (this.pasted.kind !== 'address') return 'what you pasted';
    return this.pasted.text;
  }

  /** Start the run; `replace` cancels an active one first. Null: it was refused, and is said why. */
  async start(replace = false): Promise<TaskShown | null> {
    this.tried = true;
    this.refused = this.active = null;
    if (this.#wrongName()) return null;
    this.stop();
    const request = new AbortController();
    this.#request = request;
    this.starting = true;
    try {
      const origin = this.again === null ? await this.#origin(request.signal) : null;
      // A run of a name that the list does not have would fail only when it is gathered.
      if (origin && this.brands.length && !this.brands.includes(this.name.trim()))
        await this.#server.check(origin, this.name.trim(), request.signal);
      return await this.#server.start(this.name.trim(), origin, replace);
    } catch (error) {
      this.#refuse(error);
      return null;
    } finally {
      this.starting = false;
      if (this.#request === request) this.#request = null;
      this.sent = null;
    }
  }

  #missing(): string | null {
    if (this.file) return null;
    if (this.pasted.kind === 'nothing')
      return 'Bring a file, or paste addresses, cells or one address.';
    if (this.pasted.kind !== 'address') return null;
    if (this.scheme === null) return 'This is no address that is known. Choose what it is.';
    if (/\s/.test(this.pasted.text) && /^https?:/i.test(this.pasted.text))
      return 'An address must not contain spaces.';
    return null;
  }

  #wrongName(): string | null {
    const wrong = checkBrand(this.name);
    if (wrong || !this.brands.length || this.brands.length >= BRANDS_TOLD) return wrong;
    if (!this.found?.whole || this.brands.includes(this.name.trim())) return null;
    return 'The list has no such brand. Take one of those below, or go back and let no column be the brand.';
  }

  /** What a check or a run is asked with; uploads what has to be. */
  async #origin(signal: AbortSignal): Promise<NonNullable<Origin>> {
    if (!this.file && this.pasted.kind === 'urls') return { urls: this.pasted.urls };
    if (!this.file && this.pasted.kind === 'address') {
      if (this.scheme === PICTURE) return { urls: [this.pasted.text] };
      const source = this.addressed();
      return { source: hasColumns(source) ? this.#mapped(source) : source };
    }
    const file = this.file ?? this.#asFile();
    if (this.#uploaded?.file !== file) {
      this.sent = 0;
      const made = await this.#server.upload(file, (share) => this.#progress(share), signal);
      this.#uploaded = { file, made };
      this.sent = null;
    }
    this.kept = this.#uploaded.made.kept_until;
    return { source: this.#mapped(this.#uploaded.made.source) };
  }

  /** The source that the address is, as it was given. */
  addressed(): string {
    if (this.pasted.kind !== 'address' || this.scheme === null) return '';
    const { text } = this.pasted;
    const prefix = `${this.scheme}:`;
    const whole = text.toLowerCase().startsWith(prefix) ? text.slice(prefix.length) : text;
    const place = this.guess?.scheme === this.scheme ? this.guess.place : whole;
    return sourceText(this.scheme, place);
  }

  #mapped(source: string): string {
    if (this.mapping === FOUND) return source;
    return withColumns(source, this.mapping);
  }

  #progress(share: number): void {
    if (this.sent !== null) this.sent = share;
  }

  /** What was pasted as a file: the same one for the same text, which is sent once. */
  #asFile(): File {
    if (this.pasted.kind !== 'list') throw new Error('There is nothing to send.');
    const { name, text } = this.pasted;
    if (this.#pastedFile?.text !== text)
      this.#pastedFile = { text, file: new File([text], name, { type: 'text/plain' }) };
    return this.#pastedFile.file;
  }

  async #look(origin: NonNullable<Origin>, signal: AbortSignal): Promise<void> {
    const source = 'source' in origin ? origin.source : '';
    // A list without a named brand tells which ones it has; others may need the name.
    const isList = hasColumns(source) && !source.includes('{brand}');
    const found = await this.#server.check(origin, isList ? '' : this.name.trim(), signal);
    this.#take(found);
    if (this.problem && this.mapping.urls.length === 0) await this.#guessColumn(source, signal);
  }

  /** Take the column whose values are addresses, as no column is called as it should be. */
  async #guessColumn(source: string, signal: AbortSignal): Promise<void> {
    const column = likely(this.names, this.samples);
    if (column === null) return;
    const brand = this.found?.lists[0]?.brand_column ?? null;
    const { key } = columnsOf(source);
    const mapping = { urls: [column], brand: brand === column ? '' : brand, key };
    // Shown at once: a change of another column meanwhile keeps it.
    this.mapping = mapping;
    this.guessed = column;
    try {
      const origin = { source: withColumns(source, mapping) };
      this.#take(await this.#server.check(origin, '', signal));
    } catch (error) {
      if (this.mapping === mapping) {
        this.mapping = FOUND;
        this.guessed = null;
      }
      throw error;
    }
  }

  #take(found: SourceCheck): void {
    this.found = found;
    this.samples = { ...this.samples, ...found.lists[0]?.samples };
  }

  #mappingFound(): Mapping {
    const given = this.mapping === FOUND ? columnsOf(this.addressed()) : this.mapping;
    return this.found ? foundMapping(this.found, given) : given;
  }

  #refuse(error: unknown): void {
    if (error instanceof DOMException && error.name === 'AbortError') {
      this.refused = { message: 'Stopped. What you brought is still here.' };
      return;
    }
    const problem = error instanceof ApiError ? error.problem : {};
    if (problem.run && problem.source) this.active = { run: problem.run, source: problem.source };
    else this.refused = { ...tell(error), field: problem.field ?? undefined };
  }

  /** What was found is of what was given before. */
  #forget(): void {
    this.stop();
    this.found = this.active = this.refused = null;
    this.samples = {};
    this.kept = null;
    this.mapping = FOUND;
    this.guessed = null;
    this.tried = false;
    this.step = 'bring';
  }
}
