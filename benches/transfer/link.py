"""A link that is cut again and again: a relay on loopback that resets every connection after so many bytes."""

import select
import socket
import struct
import threading

BUFFER = 64 * 1024


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
            for end in near, far:
                # A link holds little: what lies in it when it breaks is lost.
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
            threading.Thread(target=self.relay, args=(near, far), daemon=True).start()

    def relay(self, near, far):
        left = self.every
        try:
            while left > 0:
                for source in select.select([near, far], [], [])[0]:
                    data = source.recv(min(BUFFER, left))
                    if not data:
                        return
                    left -= len(data)
                    sink, way = (far, "up") if source is near else (near, "down")
                    with self.lock:
                        setattr(self, way, getattr(self, way) + len(data))
                    sink.sendall(data)
                    if left <= 0:
                        break
            with self.lock:
                self.resets += 1
            for end in near, far:
                # No lingering: what is on its way is lost, as when a modem hangs up.
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass  # one end went away
        finally:
            near.close()
            far.close()
