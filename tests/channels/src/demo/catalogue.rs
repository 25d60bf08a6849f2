//! What the demo's merchant sells: a small shop for home and kitchen. Made up for this purpose.

/// A product with its variants.
#[derive(Clone, Copy, Debug)]
pub struct DemoProduct {
    /// Product id.
    pub id: &'static str,
    /// Name.
    pub title: &'static str,
    /// Plain text.
    pub description: &'static str,
    /// Category path.
    pub category: &'static str,
    /// Brand.
    pub brand: &'static str,
    /// `standard` or `reduced`.
    pub tax_class: &'static str,
    /// Name of the option axis; empty for a product with one variant.
    pub option: &'static str,
    /// Variants.
    pub variants: &'static [DemoVariant],
}

/// A variant.
#[derive(Clone, Copy, Debug)]
pub struct DemoVariant {
    /// SKU.
    pub sku: &'static str,
    /// Value of the option; empty for the only variant.
    pub value: &'static str,
    /// GTIN-13; the merchant's own in-store range, so that it names nobody's real product.
    pub gtin: &'static str,
    /// Gross price in euro cents.
    pub price_minor: i64,
    /// Units in the warehouse.
    pub warehouse: i64,
    /// Units in the store.
    pub store: i64,
}

const fn variant(
    sku: &'static str,
    value: &'static str,
    gtin: &'static str,
    price_minor: i64,
    warehouse: i64,
    store: i64,
) -> DemoVariant {
    DemoVariant { sku, value, gtin, price_minor, warehouse, store }
}

/// The whole range.
pub const PRODUCTS: &[DemoProduct] = &[
    DemoProduct {
        id: "tea-towel",
        title: "Linen tea towel",
        description: "Stonewashed linen, softer with every wash. 50 x 70 cm, with a loop to hang it up.\n\nWashable at 60 °C.",
        category: "Kitchen/Textiles",
        brand: "Leinenhof",
        tax_class: "standard",
        option: "Colour",
        variants: &[
            variant("TOWEL-SAND", "Sand", "2000000000015", 1290, 180, 20),
            variant("TOWEL-MOSS", "Moss", "2000000000022", 1290, 140, 20),
            variant("TOWEL-INK", "Ink", "2000000000039", 1290, 90, 15),
        ],
    },
    DemoProduct {
        id: "stoneware-mug",
        title: "Stoneware mug",
        description: "Turned by hand and glazed inside. Holds 330 ml; goes into the dishwasher and the microwave.",
        category: "Kitchen/Tableware",
        brand: "Tonwerk Nord",
        tax_class: "standard",
        option: "Glaze",
        variants: &[
            variant("MUG-WHITE", "White", "2000000000046", 1850, 240, 30),
            variant("MUG-BLUE", "Blue", "2000000000053", 1850, 200, 30),
            variant("MUG-OCHRE", "Ochre", "2000000000060", 1850, 120, 12),
        ],
    },
    DemoProduct {
        id: "filter-coffee",
        title: "Filter coffee, roasted light",
        description: "Washed arabica from a cooperative in Huila. Notes of red apple and cocoa.\n\nWhole beans, 500 g.",
        category: "Pantry/Coffee and tea",
        brand: "Kontorhaus",
        tax_class: "reduced",
        option: "",
        variants: &[variant("COFFEE-500", "", "2000000000077", 1490, 400, 40)],
    },
    DemoProduct {
        id: "herbal-tea",
        title: "Herbal tea, evening",
        description: "Lemon balm, lavender and oat straw. Loose, 80 g, enough for forty cups.",
        category: "Pantry/Coffee and tea",
        brand: "Kontorhaus",
        tax_class: "reduced",
        option: "",
        variants: &[variant("TEA-EVENING", "", "2000000000084", 790, 260, 30)],
    },
    DemoProduct {
        id: "bread-board",
        title: "Bread board, oak",
        description: "One piece of oiled oak with a groove for crumbs. 42 x 24 cm.",
        category: "Kitchen/Tools",
        brand: "Holz & Heim",
        tax_class: "standard",
        option: "",
        variants: &[variant("BOARD-OAK", "", "2000000000091", 3900, 60, 8)],
    },
    DemoProduct {
        id: "chef-knife",
        title: "Chef's knife, 20 cm",
        description: "Forged carbon steel that takes a fine edge. Wipe it dry after use.",
        category: "Kitchen/Tools",
        brand: "Klingenbach",
        tax_class: "standard",
        option: "",
        variants: &[variant("KNIFE-20", "", "2000000000107", 8900, 45, 6)],
    },
    DemoProduct {
        id: "wool-throw",
        title: "Wool throw",
        description: "New wool, woven in a herringbone. 130 x 180 cm, with fringes.",
        category: "Home/Textiles",
        brand: "Leinenhof",
        tax_class: "standard",
        option: "Colour",
        variants: &[
            variant("THROW-GREY", "Grey", "2000000000114", 9900, 40, 5),
            variant("THROW-RUST", "Rust", "2000000000121", 9900, 30, 5),
        ],
    },
    DemoProduct {
        id: "beeswax-candle",
        title: "Beeswax candles, pair",
        description: "Dipped, not poured. Burn for about eight hours each and smell faintly of honey.",
        category: "Home/Light",
        brand: "Imkerei Sommer",
        tax_class: "standard",
        option: "",
        variants: &[variant("CANDLE-2", "", "2000000000138", 1150, 300, 40)],
    },
    DemoProduct {
        id: "enamel-pot",
        title: "Enamel pot, 3 litres",
        description: "Heavy steel under two coats of enamel. For gas, induction and the oven.",
        category: "Kitchen/Cookware",
        brand: "Emailwerk",
        tax_class: "standard",
        option: "Colour",
        variants: &[
            variant("POT-CREAM", "Cream", "2000000000145", 5400, 70, 8),
            variant("POT-GREEN", "Green", "2000000000152", 5400, 55, 8),
        ],
    },
    DemoProduct {
        id: "olive-oil",
        title: "Olive oil, early harvest",
        description: "Pressed in October from green Koroneiki olives. Peppery. 500 ml.",
        category: "Pantry/Oil and vinegar",
        brand: "Kontorhaus",
        tax_class: "reduced",
        option: "",
        variants: &[variant("OIL-500", "", "2000000000169", 1690, 220, 24)],
    },
    DemoProduct {
        id: "sea-salt",
        title: "Sea salt flakes",
        description: "Raked by hand. In a jar with a cork, 150 g.",
        category: "Pantry/Spices",
        brand: "Kontorhaus",
        tax_class: "reduced",
        option: "",
        variants: &[variant("SALT-150", "", "2000000000176", 690, 340, 40)],
    },
    DemoProduct {
        id: "storage-jar",
        title: "Storage jar with swing top",
        description: "Thick glass, a rubber ring and a steel clip: keeps flour dry and biscuits crisp.",
        category: "Kitchen/Storage",
        brand: "Glashütte Tal",
        tax_class: "standard",
        option: "Size",
        variants: &[
            variant("JAR-05", "0.5 l", "2000000000183", 590, 280, 30),
            variant("JAR-10", "1 l", "2000000000190", 790, 260, 30),
            variant("JAR-20", "2 l", "2000000000206", 990, 160, 18),
        ],
    },
    DemoProduct {
        id: "dish-brush",
        title: "Dish brush, beech",
        description: "Handle of oiled beech, bristles of agave. The head can be replaced.",
        category: "Kitchen/Tools",
        brand: "Holz & Heim",
        tax_class: "standard",
        option: "",
        variants: &[variant("BRUSH-DISH", "", "2000000000213", 650, 400, 50)],
    },
    DemoProduct {
        id: "picnic-basket",
        title: "Picnic basket, willow",
        description: "Peeled willow with leather straps. Holds supper for four. Few are made each year.",
        category: "Home/Outdoors",
        brand: "Korbflechterei Elbe",
        tax_class: "standard",
        option: "",
        variants: &[variant("BASKET-WILLOW", "", "2000000000220", 12900, 10, 2)],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique_and_gtins_check() {
        let variants: Vec<&DemoVariant> = PRODUCTS.iter().flat_map(|product| product.variants).collect();
        let skus: BTreeSet<&str> = variants.iter().map(|variant| variant.sku).collect();
        let gtins: BTreeSet<&str> = variants.iter().map(|variant| variant.gtin).collect();
        assert_eq!((skus.len(), gtins.len()), (variants.len(), variants.len()));
        for gtin in gtins {
            let sum: u32 = gtin
                .bytes()
                .rev()
                .zip([1, 3].into_iter().cycle())
                .map(|(digit, weight)| u32::from(digit - b'0') * weight)
                .sum();
            assert_eq!(sum % 10, 0, "{gtin}");
        }
    }
}
