/**
 * Reads anew what events name. What is named in one moment is read together, and one read ends before the next one
 * begins: an older answer never takes the place of a newer one.
 */
export class Refresher {
  private named = new Set<string>();
  private isAll = false;
  private isReading = false;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /**
   * `gather` is the longest time in ms between a name and its read. `read` gets a test for what is stale. What it can't
   * read is read with its next event.
   */
  constructor(
    private readonly gather: number,
    private readonly read: (isStale: (name: string) => boolean) => Promise<void>,
  ) {}

  add(name: string): void {
    this.named.add(name);
    this.schedule();
  }

  /** Everything may be stale. */
  addAll(): void {
    this.isAll = true;
    this.schedule();
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.named = new Set();
    this.isAll = false;
  }

  private schedule(): void {
    if (!this.isReading && (this.isAll || this.named.size > 0))
      this.timer ??= setTimeout(() => void this.run(), this.gather);
  }

  private async run(): Promise<void> {
    const { named, isAll } = this;
    this.stop();
    this.isReading = true;
    await this.read((name) => isAll || named.has(name)).catch(() => undefined);
    this.isReading = false;
    this.schedule();
  }
}
