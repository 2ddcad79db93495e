"""nameserver.py - a DNS server that lies, in the ways that its names say

`answers` maps a name to what it is answered: a list of addresses (A and AAAA mixed); a list of such lists (the next one
at each question); {"cname": name}; or a function (query bytes, question end, type) -> list of datagrams.
"""
import ipaddress
import socket
import struct
import threading

A, CNAME, AAAA = 1, 5, 28


def question_of(query):
    """(name in lower case, type, end of the question)"""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]])
        at += 1 + query[at]
    return b".".join(labels).decode().lower(), struct.unpack(">H", query[at + 1:at + 3])[0], at + 5


def encode_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def record(kind, data, ttl=0, name=b"\xc0\x0c"):
    return name + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data


def reply(query, end, records, rcode=0, flags=0x8180, identity=None):
    head = (identity or query[:2]) + struct.pack(">HHHHH", flags | rcode, 1, len(records), 0, 0)
    return head + query[12:end] + b"".join(records)


def address_records(addresses, kind):
    parsed = [ipaddress.ip_address(a) for a in addresses]
    return [record(A if a.version == 4 else AAAA, a.packed) for a in parsed if (a.version == 4) == (kind == A)]


class Nameserver:
    def __init__(self, answers, address="127.0.0.1"):
        self.answers, self.asked, self.turns = answers, [], {}
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((address, 53))
        self.tcp = socket.create_server((address, 53))
        threading.Thread(target=self.serve_udp, daemon=True).start()
        threading.Thread(target=self.serve_tcp, daemon=True).start()

    def replies(self, query, tcp):
        name, kind, end = question_of(query)
        self.asked.append((name, kind))
        answer = self.answers.get(name)
        if answer is None:
            return [reply(query, end, [], rcode=3)]
        if callable(answer):
            return answer(query, end, kind)
        if isinstance(answer, dict):
            target = encode_name(answer["cname"])
            behind = self.answers.get(answer["cname"])
            addresses = address_records(behind, kind) if isinstance(behind, list) else []
            return [reply(query, end, [record(CNAME, target), *[r.replace(b"\xc0\x0c", target, 1) for r in addresses]])]
        if answer and isinstance(answer[0], list):
            turn = self.turns.get((name, kind), 0)
            self.turns[name, kind] = turn + 1
            answer = answer[min(turn, len(answer) - 1)]
        whole = reply(query, end, address_records(answer, kind))
        if len(whole) > 512 and not tcp:
            return [reply(query, end, [], flags=0x8380)]     # truncated: ask by TCP
        return [whole]

    def serve_udp(self):
        while True:
            query, peer = self.udp.recvfrom(4096)
            try:
                for datagram in self.replies(query, False):
                    self.udp.sendto(datagram, peer)
            except (IndexError, ValueError, struct.error, OSError):
                continue

    def serve_tcp(self):
        while True:
            s, _ = self.tcp.accept()
            threading.Thread(target=self.talk, args=(s,), daemon=True).start()

    def talk(self, s):
        with s:
            try:
                while len(size := s.recv(2)) == 2:
                    query = s.recv(struct.unpack(">H", size)[0])
                    for datagram in self.replies(query, True):
                        s.sendall(struct.pack(">H", len(datagram)) + datagram)
            except (IndexError, struct.error, OSError):
                return
