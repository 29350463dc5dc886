import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";

const HOST = "127.0.0.1";

/** Sockets of one node that talk to one other: a dial that failed may leave its port behind. */
const SOURCES_MAX = 64;

/**
 * Stands on the way of every pair of nodes: whoever wants to reach another sends to the relay's port for that pair. So the
 * network between real processes can be cut, on any machine and without privileges.
 */
export class UdpRelay {
  readonly #sockets: Socket[] = [];
  #isCut: (from: number, to: number) => boolean = () => false;

  /** The port at which `from` reaches `to`, whose own port is `target`. */
  async open(from: number, to: number, target: number): Promise<number> {
    const front = await this.#bind();
    const backs = new Map<string, Socket>();
    front.on("message", (packet, source) => {
      if (this.#isCut(from, to)) return;
      const key = `${source.address}:${source.port}`;
      const known = backs.get(key);
      if (known !== undefined) return known.send(packet, target, HOST);
      if (backs.size >= SOURCES_MAX) return;
      const back = createSocket("udp4");
      this.#sockets.push(back);
      backs.set(key, back);
      back.on("message", (answer) => {
        if (!this.#isCut(to, from)) front.send(answer, source.port, source.address);
      });
      // A target that is not there refuses: to the sender that is a packet that got lost.
      back.on("error", () => undefined);
      back.send(packet, target, HOST);
    });
    return front.address().port;
  }

  /** From now on packets from the first to the second are lost where this says so; the two ways are asked apart. */
  cut(isCut: (from: number, to: number) => boolean): void {
    this.#isCut = isCut;
  }

  heal(): void {
    this.#isCut = (): boolean => false;
  }

  close(): void {
    for (const socket of this.#sockets) socket.close();
    this.#sockets.length = 0;
  }

  async #bind(): Promise<Socket> {
    const socket = createSocket("udp4");
    this.#sockets.push(socket);
    socket.on("error", () => undefined);
    const listening = once(socket, "listening");
    socket.bind(0, HOST);
    await listening;
    return socket;
  }
}
