"""A link that is cut again and again: a relay on loopback that resets every connection after so many bytes."""

import socket
import struct
import threading


class Link:
    """Relays to a port; counts what goes up and down."""

    def __init__(self, port, every):
        self.target = port
        self.every = every
        self.up = self.down = self.resets = 0
        self.lock = threading.Lock()

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self.target))
            allowance = [self.every]
            for source, sink, way in (near, far, "up"), (far, near, "down"):
                threading.Thread(target=self.relay, args=(source, sink, way, allowance), daemon=True).start()

    def relay(self, source, sink, way, allowance):
        try:
            while data := source.recv(64 * 1024):
                with self.lock:
                    data = data[: allowance[0]]
                    allowance[0] -= len(data)
                    setattr(self, way, getattr(self, way) + len(data))
                sink.sendall(data)
                if allowance[0] <= 0:
                    with self.lock:
                        self.resets += 1
                    break
            else:
                sink.shutdown(socket.SHUT_WR)
                return
        except OSError:
            pass
        for end in source, sink:
            # No lingering: what is on its way is lost, as when a modem hangs up.
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.close()
