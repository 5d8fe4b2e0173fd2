def test_each_item_has_a_shelf(index):
    assert index == {"bolt": "A1", "nut": "A1", "rope": "B7", "canvas": "B7"}


def test_items_are_found(index, shelf):
    assert {index[name] for name in shelf} in ({"A1"}, {"B7"})
