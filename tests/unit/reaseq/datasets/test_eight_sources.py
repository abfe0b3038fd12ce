"""Eight sources of logs, in their own shape, load with the flags that docs/your-data.md gives."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from reaseq.datasets.errors import FileError
from reaseq.datasets.stored_log import StoredLog

OpenText = Callable[..., StoredLog]
Row = tuple[str, str, str, int, float | None]


def rows(log: StoredLog) -> list[Row]:
    return [
        (e["user_id"], e["item_id"], e["event_type"], e["event_time_ms"], e["value"])
        for e in log.read().events.to_pylist()
    ]


def titles(log: StoredLog) -> dict[str, str]:
    return {item["item_id"]: item["title"] for item in log.read().items.to_pylist()}


def test_amazon_reviews(open_text: OpenText) -> None:
    """JSON lines with a list inside; the item is described by the file of metadata."""
    review = (
        '{{"rating": 4.0, "title": "Fine", "text": "a\\n\\"b\\"", "images": [], "asin": "B1", '
        '"parent_asin": "B4", "user_id": "A{}", "timestamp": 1583053276123, '
        '"verified_purchase": {}}}\n'
    )
    log = open_text(
        review.format(1, "true") + review.format(2, "false"),
        "item_id=parent_asin,event_time=timestamp",
        where="verified_purchase",
        items='{"parent_asin": "B4", "title": "Kettle &amp; Lid", "price": null}\n',
        map_items="item_id=parent_asin",
    )
    assert rows(log) == [("A1", "B4", "purchase", 1_583_053_276_123, None)]
    assert titles(log) == {"B4": "Kettle & Lid"}


def test_amazon_ratings_without_a_header(open_text: OpenText) -> None:
    """Refused with the flag that names the columns, and read with it."""
    text = "A0,B0,5.0,1583054661\nA1,B4,5.0,1583080758\n"
    with pytest.raises(FileError, match=r"has no header.*--columns"):
        open_text(text)
    log = open_text(text, columns=("user_id", "item_id", "rating", "event_time"))
    assert rows(log)[0] == ("A0", "B0", "purchase", 1_583_054_661_000, None)
    assert log.num_events == 2


def test_excel_in_german(open_text: OpenText) -> None:
    """Byte order mark, semicolons, decimal commas, doubled quotes, and days before months."""
    text = (
        "\ufeffKundennr;Artikelnr;Datum;Menge;Preis;Bezeichnung\n"
        '00000;003;01.03.2020 09:41;2;12,50;"Tasse ""Größe M""; blau"\n'
    )
    mapping = (
        "user_id=Kundennr,item_id=Artikelnr,event_time=Datum,title=Bezeichnung,price=Preis,"
        "value=number(Menge)*number(Preis)"
    )
    with pytest.raises(FileError, match=r"--time-format '%d.%m.%Y %H:%M'"):
        open_text(text, mapping)
    log = open_text(text, mapping, time_format="%d.%m.%Y %H:%M")
    assert rows(log) == [("00000", "003", "purchase", 1_583_055_660_000, 25.0)]
    assert titles(log) == {"003": 'Tasse "Größe M"; blau'}


def test_excel_in_cp1252(open_text: OpenText) -> None:
    """What Windows writes where nobody chose an encoding."""
    text = "user_id,item_id,event_time,title\n0,1,2020-03-01T09:00:50+00:00,Tasse groß – blau\n"
    log = open_text(text.encode("cp1252"), "title=title")
    assert rows(log) == [("0", "1", "purchase", 1_583_053_250_000, None)]
    assert titles(log) == {"1": "Tasse groß – blau"}


def test_hm(open_text: OpenText) -> None:
    """Articles with leading zeros and descriptions over two lines."""
    log = open_text(
        "t_dat,customer_id,article_id,price,sales_channel_id\n"
        "2020-03-01,00ab,0108775015,0.0474,1\n",
        "user_id=customer_id,item_id=article_id,event_time=t_dat,value=price",
        items="article_id,product_code,prod_name,detail_desc\n"
        '0108775015,108775,Strap top,"Jersey top, narrow\nstraps 0"\n',
        map_items="item_id=article_id,title=prod_name,description=detail_desc",
    )
    assert rows(log) == [("00ab", "0108775015", "purchase", 1_583_020_800_000, 0.0474)]
    (item,) = log.read().items.to_pylist()
    assert (item["title"], item["description"]) == ("Strap top", "Jersey top, narrow\nstraps 0")


@pytest.mark.parametrize("separator", ["::", "\t"])
def test_movielens_without_a_header(open_text: OpenText, separator: str) -> None:
    """1M and 100K; the films are columns by number."""
    text = "1::17::3::1583055961\n2::10::5::1583080216\n".replace("::", separator)
    log = open_text(
        text,
        columns=("user_id", "item_id", "rating", "event_time"),
        where="number(rating) >= 4",
        items="10::Cafe Story, The (1990)::Drama|Comedy\n",
        map_items="item_id=column0,title=column1",
    )
    assert rows(log) == [("2", "10", "purchase", 1_583_080_216_000, None)]
    assert titles(log) == {"10": "Cafe Story, The (1990)"}


def test_movielens_25m(open_text: OpenText) -> None:
    """CSV with a header; titles hold commas."""
    log = open_text(
        "userId,movieId,rating,timestamp\n1,17,3.0,1583055961\n",
        "user_id=userId,item_id=movieId,event_time=timestamp,event_type='view'",
        items='movieId,title,genres\n17,"Quiet River, A (1997)",Drama|War\n',
        map_items="item_id=movieId,description=genres",
    )
    assert rows(log) == [("1", "17", "view", 1_583_055_961_000, None)]
    assert titles(log) == {"17": "Quiet River, A (1997)"}


def test_rees46(open_text: OpenText) -> None:
    """Times that end in UTC, and a type that is not ours."""
    text = "event_time,event_type,product_id,category_code,brand,price,user_id\n"
    for kind in ("view", "cart", "remove_from_cart", "purchase"):
        text += f"2020-03-01 09:18:45 UTC,{kind},1000103,,b,79.83,510000000\n"
    log = open_text(text, "item_id=product_id,value=price", "remove_from_cart=")
    assert [row[2] for row in rows(log)] == ["view", "cart", "purchase"]
    assert rows(log)[0] == ("510000000", "1000103", "view", 1_583_054_325_000, 79.83)
    assert log.read().left_out == {"event type remove_from_cart (--types)": 1}


def test_retailrocket(open_text: OpenText) -> None:
    """Milliseconds, and types under other names."""
    log = open_text(
        "timestamp,visitorid,event,itemid,transactionid\n1583054150000,500000,view,301,\n"
        "1583103936000,500002,addtocart,302,\n1583130811000,500003,transaction,302,9003\n",
        "user_id=visitorid,item_id=itemid,event_time=timestamp,event_type=event",
        "addtocart=cart,transaction=purchase",
    )
    assert rows(log)[1:] == [
        ("500002", "302", "cart", 1_583_103_936_000, None),
        ("500003", "302", "purchase", 1_583_130_811_000, None),
    ]


SEGMENT = (
    '{"event": "Product Viewed", "userId": null, "anonymousId": "anon-0", "messageId": "m-0", '
    '"timestamp": "2020-03-01T09:08:00.000Z", "properties": {"product_id": "p4", "name": "Mug"}}\n'
    '{"event": "Order Completed", "userId": "u2", "anonymousId": "anon-2", "messageId": "m-2", '
    '"timestamp": "2020-03-01T23:43:31.000Z", "properties": {"order_id": "o2", "products": '
    '[{"product_id": "p1", "name": "Mug", "price": 6.5}, {"product_id": "p9", "price": 7}]}}\n'
)


def test_segment_events(open_text: OpenText) -> None:
    """Nested properties, users who are known or anonymous."""
    log = open_text(
        SEGMENT,
        "user_id=coalesce(userId, anonymousId),item_id=properties.product_id,event_type=event,"
        "event_time=timestamp,event_id=messageId,title=properties.name",
        "Product Viewed=view,Order Completed=",
    )
    assert rows(log) == [("anon-0", "p4", "view", 1_583_053_680_000, None)]
    assert log.read().events["event_id"].to_pylist() == ["m-0"]


def test_segment_orders(open_text: OpenText) -> None:
    """The products of an order are events of their own."""
    log = open_text(
        SEGMENT,
        "user_id=coalesce(userId, anonymousId),item_id=p.product_id,event_time=timestamp,"
        "value=p.price,title=p.name",
        sql="SELECT *, unnest(properties.products) AS p FROM events "
        "WHERE event = 'Order Completed'",
    )
    assert rows(log) == [
        ("u2", "p1", "purchase", 1_583_106_211_000, 6.5),
        ("u2", "p9", "purchase", 1_583_106_211_000, 7.0),
    ]


def test_segment_in_a_warehouse(open_text: OpenText) -> None:
    """Times with a zone of two digits."""
    log = open_text(
        "id,anonymous_id,user_id,event,timestamp,product_id\n"
        "m-0,anon-0,,product_viewed,2020-03-01 09:43:28.000000+00,p3\n",
        "user_id=coalesce(user_id, anonymous_id),item_id=product_id,event_time=timestamp,"
        "event_id=id,event_type='view'",
    )
    assert rows(log) == [("anon-0", "p3", "view", 1_583_055_808_000, None)]


def test_shopify(open_text: OpenText) -> None:
    """Names with blanks, notes over two lines, an offset without a colon, lines without a SKU."""
    log = open_text(
        "Name,Email,Created at,Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku,Notes\n"
        '#1,a@b.invalid,2020-03-01 09:41:12 +0100,2,Sock,10.00,S-0,"Leave at door\nThanks"\n'
        "#2,a@b.invalid,2020-03-01 09:41:12 +0100,1,Gift card,5.00,,\n",
        "user_id=Email,item_id=Lineitem sku,event_time=Created at,title=Lineitem name,"
        'price=Lineitem price,value=number("Lineitem quantity")*number("Lineitem price")',
    )
    assert rows(log) == [("a@b.invalid", "S-0", "purchase", 1_583_052_072_000, 20.0)]
    assert titles(log) == {"S-0": "Sock"}
    assert log.read().left_out == {"without a usable item_id": 1}
