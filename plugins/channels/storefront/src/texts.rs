//! Every text that a customer reads, in one place and in each language. Not here: what plugins and the merchant wrote (titles,
//! descriptions, names of shipping options).

use kontor_sdk::money::Language;

macro_rules! texts {
    ($($name:ident: $en:literal, $de:literal;)+) => {
        /// The texts of a language.
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct Texts {
            /// For `<html lang>`.
            pub code: &'static str,
            $(
                #[doc = $en]
                pub $name: &'static str,
            )+
        }

        const ENGLISH: Texts = Texts { code: "en", $($name: $en,)+ };
        const GERMAN: Texts = Texts { code: "de", $($name: $de,)+ };
    };
}

texts! {
    skip: "Skip to content", "Zum Inhalt";
    search: "Search", "Suchen";
    search_hint: "What are you looking for?", "Was suchst du?";
    cart: "Cart", "Warenkorb";
    all_products: "All products", "Alle Artikel";
    results_for: "Results for", "Ergebnisse für";
    no_results: "Nothing found. Try fewer or other words.", "Nichts gefunden. Versuche es mit weniger oder anderen Wörtern.";
    empty_shop: "There is nothing here yet. Please come back soon.", "Hier gibt es noch nichts. Schau bald wieder vorbei.";
    more: "More", "Mehr";
    from_price: "from", "ab";
    tax_included: "incl. VAT, plus shipping", "inkl. MwSt., zzgl. Versand";
    no_price: "Not for sale at present", "Zurzeit nicht erhältlich";
    quantity: "Quantity", "Menge";
    add_to_cart: "Add to cart", "In den Warenkorb";
    in_stock: "In stock", "Auf Lager";
    few_left: "Only a few left:", "Nur noch wenige da:";
    sold_out: "Sold out", "Ausverkauft";
    article_number: "Article number", "Artikelnummer";
    your_cart: "Your cart", "Dein Warenkorb";
    cart_empty: "Your cart is empty.", "Dein Warenkorb ist leer.";
    go_shopping: "Browse the shop", "Zum Sortiment";
    update: "Update", "Ändern";
    remove: "Remove", "Entfernen";
    subtotal: "Goods", "Waren";
    shipping: "Shipping", "Versand";
    shipping_later: "chosen at checkout", "wird an der Kasse gewählt";
    included_tax: "VAT included", "enthaltene MwSt.";
    total: "Total", "Gesamt";
    to_checkout: "To checkout", "Zur Kasse";
    checkout: "Checkout", "Kasse";
    step_address: "Address", "Adresse";
    step_review: "Shipping and payment", "Versand und Zahlung";
    email: "E-mail", "E-Mail";
    email_hint: "For the confirmation of your order", "Für die Bestellbestätigung";
    name: "Full name", "Vor- und Nachname";
    company: "Company (optional)", "Firma (freiwillig)";
    street: "Street and number", "Straße und Hausnummer";
    extra_line: "Further address details (optional)", "Adresszusatz (freiwillig)";
    postal_code: "Postal code", "Postleitzahl";
    city: "City", "Ort";
    country: "Country", "Land";
    phone: "Phone (optional)", "Telefon (freiwillig)";
    continue_: "Continue", "Weiter";
    choose_shipping: "How shall we ship it?", "Wie sollen wir liefern?";
    choose_payment: "How do you want to pay?", "Wie möchtest du zahlen?";
    pay_invoice: "Invoice", "Rechnung";
    pay_invoice_hint: "Pay within 14 days after delivery", "Zahlung innerhalb von 14 Tagen nach Lieferung";
    pay_prepay: "Bank transfer in advance", "Vorkasse";
    pay_prepay_hint: "We ship as soon as the money has arrived", "Wir versenden nach Zahlungseingang";
    deliver_to: "Deliver to", "Lieferung an";
    change: "Change", "Ändern";
    place_order: "Order and pay", "Zahlungspflichtig bestellen";
    review_order: "Your order", "Deine Bestellung";
    thank_you: "Thank you for your order", "Danke für deine Bestellung";
    order_number: "Order number", "Bestellnummer";
    confirmation_to: "We will write to", "Wir schreiben an";
    back_to_shop: "Back to the shop", "Zurück zum Shop";
    not_enough: "We do not have as many of these:", "So viele haben wir nicht:";
    available: "available", "verfügbar";
    total_changed: "The total has changed. Please check it and order again.", "Der Gesamtbetrag hat sich geändert. Bitte prüfe ihn und bestelle noch einmal.";
    not_found_title: "Not found", "Nicht gefunden";
    not_found: "We do not have this page (any more).", "Diese Seite gibt es nicht (mehr).";
    went_wrong_title: "That did not work", "Das hat nicht geklappt";
    went_wrong: "Nothing was changed. Please try again.", "Es wurde nichts verändert. Bitte versuche es noch einmal.";
    please_check: "Please check what you entered:", "Bitte prüfe deine Angaben:";
}

/// The texts of `language`.
pub(crate) fn texts(language: Language) -> &'static Texts {
    match language {
        Language::En => &ENGLISH,
        Language::De => &GERMAN,
    }
}
