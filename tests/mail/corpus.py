"""Mails as they come: of the well-known mail programs, of machines, broken ones and hostile ones."""

import base64
import quopri
import struct
import zlib
from email.header import Header

OUR_SERVER = "mx.atntcrm.com"
PASSED = f"Authentication-Results: {OUR_SERVER}; dmarc=pass header.from={{domain}}; dkim=pass header.d={{domain}}"
FAILED = f"Authentication-Results: {OUR_SERVER}; dmarc=fail header.from={{domain}}; spf=fail smtp.mailfrom={{domain}}"


def mail(
    body: str = "",
    *,
    sender: str = "Alice <alice@customer.example>",
    subject: str = "",
    message_id: str = "",
    content_type: str = "text/plain; charset=utf-8",
    encoding: str = "8bit",
    headers: tuple[str, ...] = (),
    checked: str = PASSED,
    to: str = "support@atntcrm.com",
) -> bytes:
    """A mail with one part; `checked` is what our server found of its sender, empty for nothing."""
    domain = sender.rpartition("@")[2].strip("> ")
    head = [
        checked.format(domain=domain),
        f"Received: from mail.{domain} by {OUR_SERVER} with ESMTPS; Thu, 12 Feb 2026 13:07:31 +0000",
        *headers,
        f"From: {sender}",
        f"To: {to}",
        f"Subject: {subject}",
        "Date: Thu, 12 Feb 2026 12:00:00 +0000",
        f"Message-ID: {message_id}" if message_id else "",
        "MIME-Version: 1.0",
        f"Content-Type: {content_type}",
        f"Content-Transfer-Encoding: {encoding}",
    ]
    text = body.encode()
    if encoding == "base64":
        text = base64.encodebytes(text)
    elif encoding == "quoted-printable":
        text = quopri.encodestring(text)
    return "\r\n".join(filter(None, head)).encode() + b"\r\n\r\n" + text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def parts(*made: str, kind: str = "mixed", parameters: str = "") -> dict[str, str]:
    """What `mail` takes for a body of several parts, each with its own headers."""
    mark = f"=_{zlib.crc32(''.join(made).encode()):x}"
    body = "".join(f"--{mark}\n{one}\n" for one in made) + f"--{mark}--\n"
    return {"body": body, "content_type": f'multipart/{kind}; boundary="{mark}"{parameters}'}


def plain(text: str) -> str:
    return f"Content-Type: text/plain; charset=utf-8\n\n{text}"


def html(text: str) -> str:
    return f"Content-Type: text/html; charset=utf-8\n\n{text}"


def file(name: str, content: bytes, kind: str = "application/pdf") -> str:
    told = base64.encodebytes(content).decode()
    return (
        f'Content-Type: {kind}; name="{name}"\nContent-Disposition: attachment; filename="{name}"\n'
        f"Content-Transfer-Encoding: base64\n\n{told}"
    )


def base64_subject(text: str) -> str:
    return Header(text, "utf-8").encode()


def bounce(message_id: str, recipient: str, *, action: str = "failed", status: str = "5.1.1") -> dict[str, str]:
    """A delivery status notification (RFC 3464), as Postfix writes one."""
    return parts(
        plain("This is the mail system at host mx.customer.example.\n\nI'm sorry to have to inform you ..."),
        f"Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx.customer.example\n\n"
        f"Final-Recipient: rfc822; {recipient}\nAction: {action}\nStatus: {status}\n"
        f"Diagnostic-Code: smtp; 550 {status} <{recipient}>: Recipient address rejected: User unknown",
        f"Content-Type: text/rfc822-headers\n\nFrom: support@atntcrm.com\nTo: {recipient}\nMessage-ID: {message_id}\n"
        "Subject: Your subscription ends",
        kind="report",
        parameters="; report-type=delivery-status",
    )


def winmail(body: str, name: str, content: bytes) -> bytes:
    """Outlook's wrapping (MS-OXTNEF): a text and a file, and nothing that another program reads."""

    def attribute(level: int, number: int, data: bytes) -> bytes:
        return struct.pack("<BII", level, number, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)

    made = struct.pack("<IH", 0x223E9F78, 1)
    made += attribute(1, 0x00089006, struct.pack("<I", 0x00010000))  # version
    made += attribute(1, 0x00069007, struct.pack("<II", 1252, 0))  # code page
    made += attribute(1, 0x0002800C, body.encode("cp1252") + b"\x00")  # body
    made += attribute(2, 0x00069002, struct.pack("<HIHHI", 1, 0xFFFFFFFF, 0, 0, 0))  # a file begins
    made += attribute(2, 0x00018010, name.encode("cp1252") + b"\x00")
    made += attribute(2, 0x0006800F, content)
    return made


QUOTED = {
    "Gmail": "\n\nOn Thu, Feb 12, 2026 at 9:00 AM atntcrm <support@atntcrm.com> wrote:\n\n> {quoted}\n>\n> Bye\n",
    "Gmail, German": "\n\nAm Do., 12. Feb. 2026 um 09:00 Uhr schrieb atntcrm <support@atntcrm.com>:\n\n> {quoted}\n",
    "Gmail, French": "\n\nLe jeu. 12 févr. 2026 à 09:00, atntcrm <support@atntcrm.com> a écrit :\n\n> {quoted}\n",
    "Gmail, broken line": "\n\nOn Thu, Feb 12, 2026 at 9:00 AM atntcrm <\nsupport@atntcrm.com> wrote:\n\n> {quoted}\n",
    "Apple Mail": "\n\n> On 12 Feb 2026, at 09:00, atntcrm <support@atntcrm.com> wrote:\n> \n> {quoted}\n",
    "Apple Mail, German": "\n\n> Am 12.02.2026 um 09:00 schrieb atntcrm <support@atntcrm.com>:\n> \n> {quoted}\n",
    "Thunderbird": "\n\nOn 12.02.26 09:00, atntcrm wrote:\n> {quoted}\n",
    "Thunderbird, German": "\n\nAm 12.02.26 um 09:00 schrieb atntcrm:\n> {quoted}\n",
    "Thunderbird, French": "\n\nLe 12/02/2026 à 09:00, atntcrm a écrit :\n> {quoted}\n",
    "Outlook": "\n\n________________________________\nFrom: atntcrm <support@atntcrm.com>\nSent: Thursday, 12 February 2026 09:00\nTo: Alice\nSubject: Your plan\n\n{quoted}\n",
    "Outlook, no rule": "\n\nFrom: atntcrm <support@atntcrm.com>\nSent: Thursday, 12 February 2026 09:00\nTo: Alice\nSubject: Your plan\n\n{quoted}\n",
    "Outlook, German": "\n\nVon: atntcrm <support@atntcrm.com>\nGesendet: Donnerstag, 12. Februar 2026 09:00\nAn: Alice\nBetreff: Ihr Tarif\n\n{quoted}\n",
    "Outlook, French": "\n\nDe : atntcrm <support@atntcrm.com>\nEnvoyé : jeudi 12 février 2026 09:00\nÀ : Alice\nObjet : Votre formule\n\n{quoted}\n",
    "Outlook, old": "\n\n-----Original Message-----\nFrom: atntcrm\nSent: Thursday\nTo: Alice\nSubject: x\n\n{quoted}\n",
    "Outlook, old German": "\n\n-----Ursprüngliche Nachricht-----\nVon: atntcrm\nGesendet: Donnerstag\nAn: Alice\n\n{quoted}\n",
    "GMX": "\n\nGesendet: Donnerstag, 12. Februar 2026 um 09:00 Uhr\nVon: support@atntcrm.com\nAn: alice@customer.example\nBetreff: Ihr Tarif\n\n{quoted}\n",
    "Proton": "\n\n-------- Original Message --------\nOn 2/12/26 09:00, atntcrm wrote:\n\n> {quoted}\n",
    "Yahoo": "\n\nOn Thursday, February 12, 2026 at 09:00:00 AM GMT+1, atntcrm <support@atntcrm.com> wrote:  \n \n {quoted}\n",
    "K-9": "\n\n12. Februar 2026 09:00:00 atntcrm <support@atntcrm.com> schrieb:\n\n> {quoted}\n",
}  # fmt: skip
FORWARDED = {
    "Gmail": "---------- Forwarded message ---------\nFrom: Bob <bob@customer.example>\nDate: Thu, 12 Feb 2026\nSubject: x\nTo: <a@b.example>\n\n{quoted}\n",
    "Gmail, German": "---------- Forwarded message ---------\nVon: Bob <bob@customer.example>\nDate: Do., 12. Feb. 2026\nSubject: x\nTo: a@b.example\n\n{quoted}\n",
    "Apple Mail": "Begin forwarded message:\n\nFrom: Bob <bob@customer.example>\nSubject: x\nDate: 12 Feb 2026\nTo: a@b.example\n\n{quoted}\n",
    "Thunderbird, German": "-------- Weitergeleitete Nachricht --------\nBetreff: x\nDatum: Thu, 12 Feb 2026\nVon: Bob\nAn: a@b.example\n\n{quoted}\n",
    "Thunderbird, French": "-------- Message transféré --------\nSujet : x\nDate : Thu, 12 Feb 2026\nDe : Bob\nPour : a@b.example\n\n{quoted}\n",
    "Outlook": "________________________________\nFrom: Bob <bob@customer.example>\nSent: Thursday\nTo: a@b.example\nSubject: x\n\n{quoted}\n",
}  # fmt: skip
