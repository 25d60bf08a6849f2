//! `kontor import`: the host is killed in the middle, the same command goes on, the books are those of an import that ran through.

use std::fmt::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use kontor_e2e::{Host, Shop};
use serde_json::{Value, json};

const ARTICLES: u32 = 40;
const INVOICES: u32 = 400;
const LINES_PER_INVOICE: u32 = 6;
const ORDERS: [&str; 7] = [
    "import",
    "orders",
    "invoices.csv",
    "--option",
    "not_goods=POST",
    "--map",
    "order=Invoice,sku=Code,title=Description,quantity=Quantity,date=Date,price=Price,customer=Customer,country=Country",
];
const PRODUCTS: [&str; 5] = ["import", "products", "invoices.csv", "--map", "sku=Code,title=Description,price=Price"];
const STOCK: [&str; 9] = [
    "import",
    "stock",
    "levels.csv",
    "--map",
    "sku=Code,quantity=OnHand",
    "--option",
    "location=main",
    "--option",
    "reference=opening",
];

/// Invoices as shops export them: postage between the goods, every tenth invoice a cancellation, some rows twice. Returns the sum
/// of quantity x price.
fn write_invoices(path: &Path) -> i64 {
    let mut csv = "Invoice,Code,Description,Quantity,Date,Price,Customer,Country\n".to_owned();
    let mut sum_minor = 0;
    for invoice in 0..INVOICES {
        let cancelled = invoice % 10 == 9;
        for line in 0..LINES_PER_INVOICE {
            let article = (invoice * 7 + line * 3) % ARTICLES;
            let (code, price_minor) = if line == 5 {
                ("POST".to_owned(), 495)
            } else {
                (format!("A{article}"), i64::from(article) * 50 + 99)
            };
            let quantity = i64::from(line + 1) * if cancelled { -1 } else { 1 };
            let number = format!("{}{}", if cancelled { "C" } else { "" }, 500_000 + invoice);
            let price = format!("{}.{:02}", price_minor / 100, price_minor % 100);
            let day = invoice % 28 + 1;
            for _ in 0..if invoice % 25 == 3 && line == 1 { 2 } else { 1 } {
                writeln!(
                    csv,
                    "{number},{code},Article {code},{quantity},2026-01-{day:02} 10:00,{price},{line},Germany"
                )
                .unwrap();
                sum_minor += quantity * price_minor;
            }
        }
    }
    std::fs::write(path, csv).unwrap();
    sum_minor
}

async fn shop(directory: &Path) -> Shop {
    let shop = Shop::open(Host::start(&directory.join("data")), 9, &[]).await;
    shop.install(&["plugins/modules/importer"]).await;
    shop
}

fn import(shop: &Shop, directory: &Path, arguments: &[&str]) -> Value {
    let output = shop.host.command(arguments).arg("--json").current_dir(directory).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What two imports of one file must agree on.
fn account(summary: &Value) -> Value {
    let names = ["rows", "classes", "counts", "amount", "booked", "issues", "refused"];
    names.iter().map(|name| (name.to_string(), summary[name].clone())).collect::<serde_json::Map<_, _>>().into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_survives_a_kill_and_its_catalogue_sells_in_every_channel() {
    let directory = tempfile::tempdir().unwrap();
    let sum_minor = write_invoices(&directory.path().join("invoices.csv"));
    let whole = shop(directory.path()).await;
    let expected = account(&import(&whole, directory.path(), &ORDERS));
    assert_eq!(expected["amount"], format!("{}.{:02}", sum_minor / 100, sum_minor % 100), "{expected}");
    let in_classes: u64 =
        expected["classes"].as_array().unwrap().iter().map(|class| class["rows"].as_u64().unwrap()).sum();
    assert_eq!(expected["rows"], in_classes, "{expected}");
    assert_eq!(expected["refused"], 0, "{expected}");
    drop(whole);

    let other = tempfile::tempdir().unwrap();
    write_invoices(&other.path().join("invoices.csv"));
    let killed = shop(other.path()).await;
    let command = killed
        .host
        .command(&ORDERS)
        .arg("--json")
        .current_dir(other.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let command = command.unwrap();
    let mut tick = tokio::time::interval(Duration::from_millis(5));
    let first = "/v1/orders?limit=1";
    while killed.merchant().get(&killed.at("orders", first)).await.unwrap()["orders"] == json!([]) {
        tick.tick().await;
    }
    let killed = killed.after_a_crash();
    let interrupted = command.wait_with_output().unwrap();
    assert!(!interrupted.status.success(), "the host was killed before the import was done: {interrupted:?}");
    let text = String::from_utf8_lossy(&interrupted.stderr);
    assert!(text.contains("run the same command again to go on"), "{text}");

    let resumed = import(&killed, other.path(), &ORDERS);
    assert_eq!(account(&resumed), expected);
    assert_eq!(resumed["already_done"], false);
    let again = import(&killed, other.path(), &ORDERS);
    assert_eq!((account(&again), &again["already_done"]), (expected, &json!(true)));

    sell_what_was_imported(&killed, other.path()).await;
}

async fn sell_what_was_imported(shop: &Shop, directory: &Path) {
    let products = import(shop, directory, &PRODUCTS);
    assert_eq!(products["rows"], account(&products)["rows"]);
    std::fs::write(directory.join("levels.csv"), "Code,OnHand\nA3,5\nA4,0\n").unwrap();
    import(shop, directory, &STOCK);
    assert_eq!(import(shop, directory, &STOCK)["already_done"], true);
    assert_eq!(shop.unsold("A3").await, 5);

    let article = kontor_e2e::Article { sku: "A3", price_minor: 249, on_hand: 5 };
    shop.buy("A3", 2).await.unwrap();
    shop.sell("one", &article, 1).await.unwrap();
    shop.list_on_amazon("A3", 2).await;
    shop.amazon.place_order(&kontor_channels::amazon::Purchase::of("A3", 2)).unwrap();
    shop.fetch_amazon_orders().await;
    assert_eq!(shop.unsold("A3").await, 0);
    let refused = shop.buy("A3", 1).await.unwrap_err();
    assert!(refused.code().starts_with("insufficient"), "{refused}");
    let refused = shop.buy("A4", 1).await.unwrap_err();
    assert!(refused.code().starts_with("insufficient"), "{refused}");
    shop.assert_ledger_is_projection().await;
}
