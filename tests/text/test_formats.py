"""Each format gives its readable text, and says what is wrong with a file that it cannot read."""

from __future__ import annotations

import io
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from pypdf import PdfReader, PdfWriter

from farspan.errors import InputError
from farspan.text import Document
from tests.text.files_of import docx_members, epub_members, write_pdf, write_zip


def text_of(path: Path) -> str:
    return "".join(Document.from_path(path).pieces())


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<p>One</p><p>Two   words\n here</p>", "One\n\nTwo words here"),
        ("<div>a<b>b</b> c</div><div>d</div>", "ab c\nd"),
        ("<script>var x = '<p>no</p>';</script>yes<style>p {}</style>", "yes"),
        ("<ul><li>first<li>second</ul>after", "- first\n- second\n\nafter"),
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c<td>d</table>", "a\tb\nc\td"),
        ("<pre>keep\n   this</pre>x", "keep\n   this\n\nx"),
        ("a &amp; b &lt;c&gt; &#233;", "a & b <c> é"),
        ("line<br>break<br/>again", "line\nbreak\nagain"),
        ("<title>no</title><svg><text>no</text></svg>word <i>and</i> word", "word and word"),
        ("<p>say <a href=x>this </a>now</p>", "say this now"),
        ("unclosed <b>tags <p>are fine", "unclosed tags\n\nare fine"),
    ],
)
def test_html(tmp_path: Path, page: str, expected: str) -> None:
    path = tmp_path / "page.html"
    path.write_text(page, encoding="utf-8")
    assert text_of(path) == expected


def test_html_in_small_parts_is_the_same() -> None:
    from farspan.text.formats.html import extract

    page = "<h1>Head</h1><p>a &amp; b<i> c</i></p><ul><li>x</li></ul><pre>1\n 2</pre><script>no()</script>end"
    assert "".join(extract(page)) == "".join(extract([page])) == "Head\n\na & b c\n\n- x\n\n1\n 2\n\nend"


def test_html_says_its_encoding(tmp_path: Path) -> None:
    path = tmp_path / "page.htm"
    path.write_bytes('<meta charset="windows-1251"><p>Привет'.encode("cp1251"))
    assert text_of(path) == "Привет"


def test_html_without_suffix_is_seen_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "page"
    path.write_text("\n<!DOCTYPE html><p>hello")
    assert text_of(path) == "hello"


def test_pdf_pages_in_order(tmp_path: Path) -> None:
    path = write_pdf(tmp_path / "book.pdf", [f"Page number {number}" for number in range(40)])
    assert text_of(path) == "\n\n".join(f"Page number {number}" for number in range(40))
    assert Document.from_path(path).total_chars is None


def test_a_pdf_is_read_page_by_page(tmp_path: Path) -> None:
    path = write_pdf(tmp_path / "book.pdf", ["first", "second"])
    path.write_bytes(path.read_bytes().replace(b"(second) Tj", b"(second} T "))
    from farspan.text.formats.pdf import read

    with path.open("rb") as file:
        assert next(read(file, "book.pdf", print)) == "first"


def test_what_the_parser_says_of_a_pdf_is_not_for_the_user(tmp_path: Path) -> None:
    path = write_pdf(tmp_path / "book.pdf", ["first", "second"])
    path.write_bytes(b"junk\n" + path.read_bytes())
    code = f"from farspan.text import Document; print(*Document.from_path({str(path)!r}).pieces())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("first\n\nsecond\n", "")


@pytest.mark.parametrize("name", ["notes.txt", "notes", "notes.md"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_a_text_about_pdf_is_a_text(tmp_path: Path, name: str, encoding: str) -> None:
    text = "\nUn café. A PDF begins with %PDF-1.7 and ends with %%EOF.\n"
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    assert text_of(path) == text


@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b"\r\n \t", b"\0" * 128, b"\x01\x02 mail \xff\xfe\x03\n"])
def test_a_pdf_is_seen_by_its_content(tmp_path: Path, before: bytes) -> None:
    path = write_pdf(tmp_path / "book", ["first", "second"])
    path.write_bytes(before + path.read_bytes())
    assert text_of(path) == "first\n\nsecond"


def test_a_scanned_pdf(tmp_path: Path) -> None:
    path = write_pdf(tmp_path / "scan.pdf", ["", "", ""])
    with pytest.raises(InputError, match=r"scan\.pdf has 3 pages and no text"):
        text_of(path)


def test_an_encrypted_pdf(tmp_path: Path) -> None:
    writer = PdfWriter(clone_from=PdfReader(write_pdf(tmp_path / "plain.pdf", ["secret"])))
    writer.encrypt("password", algorithm="RC4-128")
    writer.write(tmp_path / "locked.pdf")
    with pytest.raises(InputError, match=r"locked\.pdf is an encrypted PDF.*qpdf"):
        text_of(tmp_path / "locked.pdf")


def test_a_pdf_that_only_forbids_printing_is_read(tmp_path: Path) -> None:
    writer = PdfWriter(clone_from=PdfReader(write_pdf(tmp_path / "plain.pdf", ["open"])))
    writer.encrypt("", owner_password="owner", algorithm="RC4-128")
    writer.write(tmp_path / "owned.pdf")
    assert text_of(tmp_path / "owned.pdf") == "open"


def test_a_damaged_pdf(tmp_path: Path) -> None:
    path = tmp_path / "bad.pdf"
    path.write_bytes(b"%PDF-1.4\n" + b"nothing here " * 50)
    with pytest.raises(InputError, match=r"bad\.pdf is a damaged PDF"):
        text_of(path)


def test_epub_in_spine_order(tmp_path: Path) -> None:
    pages = {"two": "<p>Second.</p>", "one": "<h1>Start</h1><p>First.</p>", "empty": "<p> </p>", "unused": "<p>no</p>"}
    path = write_zip(tmp_path / "book.epub", epub_members(pages, ["empty", "one", "empty", "two"]))
    assert text_of(path) == "Start\n\nFirst.\n\nSecond."


def test_a_damaged_epub(tmp_path: Path) -> None:
    members = epub_members({"one": "<p>x</p>"}, ["one"])
    del members["OEBPS/text/one page.xhtml"]
    path = write_zip(tmp_path / "book.epub", members)
    with pytest.raises(InputError, match=r"book\.epub is a damaged EPUB: .*one page\.xhtml"):
        text_of(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"book\.epub is a damaged EPUB"):
        text_of(path)


def test_an_encrypted_epub(tmp_path: Path) -> None:
    members = epub_members({"one": "<p>x</p>"}, ["one"])
    members["META-INF/encryption.xml"] = (
        '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><EncryptedData><CipherData>'
        '<CipherReference URI="OEBPS/text/one%20page.xhtml"/></CipherData></EncryptedData></encryption>'
    )
    path = write_zip(tmp_path / "book.epub", members)
    with pytest.raises(InputError, match="encrypted EPUB: 1 of its 1 pages"):
        text_of(path)


def test_docx(tmp_path: Path) -> None:
    body = (
        "<w:p><w:pPr><w:tabs><w:tab/></w:tabs></w:pPr><w:r><w:t>One</w:t><w:tab/><w:t>two</w:t></w:r>"
        "<w:del><w:r><w:delText>gone</w:delText></w:r></w:del></w:p>"
        "<w:tbl><w:tr><w:tc><w:p><w:r><w:t>a</w:t></w:r></w:p><w:p><w:r><w:t>b</w:t></w:r></w:p></w:tc>"
        "<w:tc><w:p><w:r><w:t>c</w:t></w:r></w:p></w:tc></w:tr></w:tbl>"
        "<w:p><w:r><w:t>Three</w:t><w:br/><w:t>four</w:t></w:r></w:p>"
    )
    notes = "<w:footnote><w:p><w:r><w:t>A note.</w:t></w:r></w:p></w:footnote>"
    path = write_zip(tmp_path / "letter.docx", docx_members(body, notes))
    assert text_of(path) == "One\ttwo\na b\tc\nThree\nfour\nA note.\n"


def test_a_damaged_docx(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "letter.docx", docx_members("<w:p>"))
    with pytest.raises(InputError, match=r"letter\.docx is a damaged DOCX: mismatched tag"):
        text_of(path)


def test_a_member_that_unpacks_to_too_much_is_not_unpacked(tmp_path: Path) -> None:
    members = docx_members("<w:p><w:r><w:t>x</w:t></w:r></w:p>")
    relations = members["_rels/.rels"]
    path = write_zip(tmp_path / "letter.docx", {**members, "_rels/.rels": relations + " " * (1 << 20)})
    assert text_of(path) == "x\n"
    path = write_zip(tmp_path / "letter.docx", {**members, "_rels/.rels": relations + " " * (100 << 20)})
    assert path.stat().st_size < 1 << 20
    tracemalloc.start()
    try:
        with pytest.raises(
            InputError, match=r"letter\.docx is a damaged DOCX: _rels/\.rels unpacks to more than 8 MiB"
        ):
            text_of(path)
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()


def test_a_docx_by_content(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "letter.bin", docx_members("<w:p><w:r><w:t>x</w:t></w:r></w:p>"))
    assert text_of(path) == "x\n"
    assert "".join(Document.from_stdin(io.BytesIO(path.read_bytes())).pieces()) == "x\n"


def test_another_zip_is_binary(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "data.zip", {"a.txt": "text"})
    with pytest.raises(InputError, match="binary file"):
        text_of(path)
