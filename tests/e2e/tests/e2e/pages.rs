//! A page that was shown is shown again without executing anything, but never an old one: whoever changes something on it, in
//! whichever channel.

use kontor_e2e::{Article, Host, Shop};
use serde_json::{Value, json};

const LAMP: Article = Article { sku: "LAMP-1", price_minor: 4_900, on_hand: 3 };
const VASE: Article = Article { sku: "VASE-1", price_minor: 1_900, on_hand: 3 };

/// Requests that were answered without executing them so far.
async fn given(shop: &Shop) -> u64 {
    let metrics = shop.host.admin.text("/metrics").await.unwrap();
    let line = metrics.lines().find_map(|line| line.strip_prefix("kontor_http_responses_given_total "));
    line.unwrap_or_else(|| panic!("not counted: {metrics}")).parse().unwrap()
}

/// Looks at a product's page twice, the second time without anything being executed.
async fn shown(shop: &Shop, article: &Article) -> Value {
    let path = shop.at("storefront", &format!("/api/v1/products/{}", article.sku.to_lowercase()));
    let page = shop.visitor().get(&path).await.unwrap();
    let before = given(shop).await;
    assert_eq!(shop.visitor().get(&path).await.unwrap(), page);
    assert_eq!(given(shop).await, before + 1, "{page}");
    page
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_shown_again_until_something_on_it_changes() {
    let directory = tempfile::tempdir().unwrap();
    let host = Host::start(&directory.path().join("data"));
    let shop = Shop::open(host, 11, &[LAMP, VASE]).await;
    let (lamp, vase) = (shown(&shop, &LAMP).await, shown(&shop, &VASE).await);

    shop.sell("till", &LAMP, 3).await.unwrap();
    let sold_out = shown(&shop, &LAMP).await;
    assert_ne!(sold_out["variants"][0]["availability"], lamp["variants"][0]["availability"], "sold at a till");

    let price = json!({ "prices": [{ "sku": LAMP.sku, "amount_minor": 5_900 }] });
    shop.merchant().put(&shop.at("pricing", "/v1/prices:batch"), &price).await.unwrap();
    assert_eq!(shown(&shop, &LAMP).await["variants"][0]["price"]["amount_minor"], 5_900);
    assert_eq!(lamp["variants"][0]["price"]["amount_minor"], 4_900);

    let before = given(&shop).await;
    assert_eq!(shown(&shop, &VASE).await, vase);
    assert_eq!(given(&shop).await, before + 2, "nobody touched this one");

    // A new revision asks anew: other plugins may answer otherwise.
    let path = "/api/v1/merchants/acme/revisions";
    let change = json!({ "changes": [{ "kind": "configure", "plugin": "storefront", "config": { "shop_name": "Other", "country": "DE" } }] });
    shop.host.admin.post(path, &change).await.unwrap();
    let before = given(&shop).await;
    assert_eq!(shown(&shop, &VASE).await, vase);
    assert_eq!(given(&shop).await, before + 1);
    shop.host.stop();
}
