//! Every text that staff and customers read, in one place and in each language. Not here: what the merchant wrote.

use kontor_sdk::money::Language;

macro_rules! texts {
    ($($name:ident: $en:literal, $de:literal;)+) => {
        /// The texts of a language.
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct Texts {
            /// For `<html lang>`.
            pub(crate) code: &'static str,
            $(
                #[doc = $en]
                pub(crate) $name: &'static str,
            )+
        }

        const ENGLISH: Texts = Texts { code: "en", $($name: $en,)+ };
        const GERMAN: Texts = Texts { code: "de", $($name: $de,)+ };
    };
}

texts! {
    skip: "Skip to content", "Zum Inhalt";
    till: "Till", "Kasse";
    choose_till: "Choose a till", "Kasse wählen";
    no_tills: "No till is set up yet. Add one to the configuration of this plugin.", "Es ist noch keine Kasse eingerichtet. Lege eine in der Konfiguration dieses Plugins an.";
    stock: "Stock", "Bestand";
    sales: "Sales", "Verkäufe";
    change_till: "Change till", "Kasse wechseln";
    scan: "Scan or search", "Scannen oder suchen";
    scan_hint: "Barcode, article number or name", "Barcode, Artikelnummer oder Name";
    scan_several: "3*code for three of one article", "3*Code für drei Stück eines Artikels";
    enter: "Enter", "Eingabe";
    basket: "Basket", "Korb";
    basket_empty: "Scan the first article.", "Den ersten Artikel scannen.";
    quantity: "Quantity", "Menge";
    more: "One more", "Eins mehr";
    less: "One less", "Eins weniger";
    remove: "Remove", "Entfernen";
    no_price: "no price", "ohne Preis";
    items: "Items", "Stück";
    total: "Total", "Summe";
    included_tax: "VAT included", "enthaltene MwSt.";
    pay: "Pay", "Bezahlen";
    park: "Park", "Parken";
    clear: "Discard", "Verwerfen";
    parked: "Parked", "Geparkt";
    resume: "Resume", "Fortsetzen";
    found: "Which one?", "Welcher Artikel?";
    add: "Add", "Hinzufügen";
    nothing_found: "Nothing found for", "Nichts gefunden zu";
    not_for_sale: "has no price in this channel and was not added.", "hat in diesem Kanal keinen Preis und wurde nicht hinzugefügt.";
    back: "Back", "Zurück";
    cash: "Cash", "Bar";
    card: "Card", "Karte";
    given: "Cash given", "Bar gegeben";
    given_hint: "Leave empty for the exact amount", "Leer lassen, wenn es passt";
    pay_cash: "Paid in cash", "Bar bezahlt";
    pay_card: "Paid by card", "Mit Karte bezahlt";
    pay_split: "Rest by card", "Rest mit Karte";
    quick: "Given", "Gegeben";
    goods: "The goods", "Die Ware";
    in_hand: "The customer holds them", "Hat die Kundschaft in der Hand";
    from_stock: "Are fetched from the stock", "Wird aus dem Lager geholt";
    rounding: "Cash rounding", "Rundung Barzahlung";
    due_cash: "Due in cash", "Bar zu zahlen";
    change: "Change", "Rückgeld";
    next_customer: "Next customer", "Nächster Kunde";
    print_hint: "Print with Ctrl+P", "Drucken mit Strg+P";
    receipt: "Receipt", "Bon";
    date: "Date", "Datum";
    order: "Order", "Auftrag";
    sold_by: "Served by", "Bedient von";
    recorded: "Booked", "Gebucht";
    net: "Net", "Netto";
    vat: "VAT", "MwSt.";
    gross: "Gross", "Brutto";
    last_sales: "Last sales", "Letzte Verkäufe";
    no_sales: "Nothing was sold at this till yet.", "An dieser Kasse wurde noch nichts verkauft.";
    stock_title: "Stock in all stores", "Bestand in allen Filialen";
    location: "Location", "Standort";
    here: "here", "hier";
    available: "Available", "Verfügbar";
    on_hand: "On hand", "Vorhanden";
    store: "Store", "Filiale";
    warehouse: "Warehouse", "Lager";
    third_party: "Third party", "Dienstleister";
    no_stock: "No location knows this article.", "Kein Standort kennt diesen Artikel.";
    look_up: "Look up", "Nachsehen";
    to_basket: "Add to basket", "In den Korb";
    bad_amount: "This is no amount:", "Das ist kein Betrag:";
    underpaid: "Still missing:", "Es fehlen noch:";
    card_exceeds: "This is more than the total; change is given for cash only.", "Das ist mehr als die Summe; Rückgeld gibt es nur bei Barzahlung.";
    total_changed: "A price has changed. The new total is shown.", "Ein Preis hat sich geändert. Die neue Summe wird angezeigt.";
    not_enough: "Not enough in stock here:", "Hier nicht genug auf Lager:";
    basket_full: "The basket is full.", "Der Korb ist voll.";
    parked_full: "Too many baskets are parked at this till.", "An dieser Kasse sind zu viele Körbe geparkt.";
    not_priced: "An article cannot be sold. Remove it to go on.", "Ein Artikel kann nicht verkauft werden. Entferne ihn, um fortzufahren.";
    not_found_title: "Not found", "Nicht gefunden";
    not_found: "This is not here (any more).", "Das gibt es hier nicht (mehr).";
    went_wrong_title: "That did not work", "Das hat nicht geklappt";
    went_wrong: "Nothing was booked. Please try again.", "Es wurde nichts gebucht. Bitte noch einmal versuchen.";
}

/// The texts of `language`.
pub(crate) fn texts(language: Language) -> &'static Texts {
    match language {
        Language::En => &ENGLISH,
        Language::De => &GERMAN,
    }
}
