//! `vetrina import`: a plain products file (CSV) into the ledger. Every row is checked first and
//! all complaints are shown with their rows; only a file without any is written. Articles are known
//! by their code, so the same file twice changes nothing.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, value_parser};
use serde::Deserialize;
use vetrina_protocol::id::{PictureId, ProductId, SellerId};
use vetrina_protocol::rest::NewSku;

use super::money::amount;
use super::{Failure, block_on, configuration, with_settings};
use crate::app::{FIRST_SELLER, Records};
use crate::clock::Clock;
use crate::http::products::{description, new_sku, title};
use crate::pictures::{self, Kind};
use vetrina_store::blob::PICTURE_BYTES_MAX;
use vetrina_store::ledger::{Imported, NewSkuRow, ProductRow, SellerRow};

/// Rows of one file; a larger one is an export of something else.
const ROWS_MAX: usize = 20_000;
/// Complaints shown at once.
const COMPLAINTS_MAX: usize = 50;

/// `vetrina seller`.
pub(super) fn seller_command() -> Command {
    with_settings(
        Command::new("seller"),
        false,
        &["token-secret", "data-dir", "database"],
    )
    .about("Makes a seller (or renames one) and prints its id")
    .arg(Arg::new("name").required(true).help("Display name"))
    .arg(
        Arg::new("id")
            .long("id")
            .value_parser(value_parser!(SellerId))
            .help("Rename this one"),
    )
}

/// `vetrina import`.
pub(super) fn command() -> Command {
    with_settings(
        Command::new("import"),
        false,
        &["token-secret", "data-dir", "database"],
    )
    .about("Reads products from a CSV file into the ledger")
    .after_help(
        "The first line names the columns:\n  \
             title,description,code,variant,price,currency,inventory,picture\n\
             Rows with the same title are variants of one product. code is the seller's own \
             article code: a known one gets the row's price and inventory. description, variant \
             and picture (a file beside the CSV: PNG, JPEG, WebP or plain SVG) may be empty. \
             Either the whole file is imported or nothing is.",
    )
    .arg(
        Arg::new("file")
            .required(true)
            .value_parser(value_parser!(PathBuf))
            .help("The file"),
    )
    .arg(
        Arg::new("seller")
            .long("seller")
            .value_parser(value_parser!(SellerId))
            .help("Whose products; default: the first seller's"),
    )
}

pub(super) fn seller(matches: &ArgMatches) -> Result<(), Failure> {
    let config = configuration(matches, false)?;
    let name = matches.get_one::<String>("name").map_or("", String::as_str);
    let name = title("name", name)?;
    let id = matches
        .get_one::<SellerId>("id")
        .copied()
        .unwrap_or_else(SellerId::now);
    block_on(async {
        let records = Records::open(&config).await?;
        records.ledger.put_seller(SellerRow { id, name }).await?;
        records.ledger.close().await;
        Ok(())
    })?;
    writeln!(std::io::stdout(), "{id}")?;
    Ok(())
}

pub(super) fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let config = configuration(matches, false)?;
    let missing = || Failure::new("type: vetrina import --help");
    let path = matches.get_one::<PathBuf>("file").ok_or_else(missing)?;
    let seller = matches
        .get_one::<SellerId>("seller")
        .copied()
        .unwrap_or(FIRST_SELLER);
    let products = read(path)?;
    let done = block_on(async {
        let records = Records::open(&config).await?;
        let known = records.ledger.seller(seller).await?;
        if known.is_none() && seller == FIRST_SELLER {
            let name = config.seller_name.clone();
            let first = SellerRow { id: seller, name };
            records.ledger.put_seller(first).await?;
        } else if known.is_none() {
            return Err(Failure::new(
                "--seller: no such seller; `vetrina seller` makes one",
            ));
        }
        check_against(&records, seller, &products).await?;
        let done = write(&records, seller, products).await?;
        records.ledger.close().await;
        Ok(done)
    })?;
    writeln!(
        std::io::stdout(),
        "{} products made, {} articles added, {} articles updated",
        done.products,
        done.added,
        done.updated
    )?;
    Ok(())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    title: String,
    #[serde(default)]
    description: String,
    code: String,
    #[serde(default)]
    variant: String,
    price: String,
    currency: String,
    inventory: u32,
    #[serde(default)]
    picture: String,
}

/// A product of the file.
#[derive(Debug)]
struct Wanted {
    title: String,
    description: Option<String>,
    picture: Option<(Kind, Vec<u8>)>,
    /// With their line numbers.
    skus: Vec<(u64, NewSkuRow)>,
}

/// Reads and checks the whole file.
fn read(path: &Path) -> Result<Vec<Wanted>, Failure> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(path)
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    let mut complaints = Vec::new();
    let mut products: Vec<Wanted> = Vec::new();
    let mut lines_of_codes: HashMap<String, u64> = HashMap::new();
    for (count, record) in reader.deserialize::<Row>().enumerate() {
        if count >= ROWS_MAX {
            return Err(Failure::new(format!(
                "more than {ROWS_MAX} rows: split the file"
            )));
        }
        // The first row stands under the line with the columns' names.
        let line = count as u64 + 2;
        let row = match record {
            Ok(row) => row,
            Err(error) => {
                complaints.push(format!("row {line}: {}", what(&error)));
                continue;
            }
        };
        match checked(&row, path) {
            Ok((wanted, sku)) => {
                if let Some(first) = lines_of_codes.insert(sku.code.clone(), line) {
                    complaints.push(format!("row {line}: code: the same as in row {first}"));
                }
                match products
                    .iter_mut()
                    .find(|product| product.title == wanted.title)
                {
                    Some(product) => product.skus.push((line, sku)),
                    None => products.push(Wanted {
                        skus: vec![(line, sku)],
                        ..wanted
                    }),
                }
            }
            Err(complaint) => complaints.push(format!("row {line}: {complaint}")),
        }
    }
    if products.is_empty() && complaints.is_empty() {
        complaints.push("there are no rows".into());
    }
    complain(&complaints)?;
    Ok(products)
}

fn what(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Deserialize { err, .. } => err.to_string(),
        _ => error.to_string(),
    }
}

fn complain(complaints: &[String]) -> Result<(), Failure> {
    if complaints.is_empty() {
        return Ok(());
    }
    let shown = complaints
        .iter()
        .take(COMPLAINTS_MAX)
        .cloned()
        .collect::<Vec<_>>()
        .join("\n  ");
    let more = complaints.len().saturating_sub(COMPLAINTS_MAX);
    let rest = if more > 0 {
        format!("\n  and {more} more")
    } else {
        String::new()
    };
    Err(Failure::new(format!(
        "nothing was imported; mend these first:\n  {shown}{rest}"
    )))
}

fn checked(row: &Row, path: &Path) -> Result<(Wanted, NewSkuRow), String> {
    let sku = NewSku {
        code: row.code.clone(),
        variant: Some(row.variant.clone()),
        price: amount(&row.price, &row.currency)?,
        inventory: row.inventory,
    };
    let sku = new_sku("", &sku).map_err(|refused| refused.message.into_owned())?;
    let product = Wanted {
        title: title("title", &row.title).map_err(|refused| refused.message.into_owned())?,
        description: description(Some(&row.description))
            .map_err(|refused| refused.message.into_owned())?
            .filter(|text| !text.is_empty()),
        picture: picture(&row.picture, path)?,
        skus: Vec::new(),
    };
    Ok((product, sku))
}

fn picture(name: &str, beside: &Path) -> Result<Option<(Kind, Vec<u8>)>, String> {
    if name.is_empty() {
        return Ok(None);
    }
    let path = beside.parent().unwrap_or(Path::new("")).join(name);
    let bytes = std::fs::read(&path).map_err(|error| format!("picture {name}: {error}"))?;
    if bytes.len() > PICTURE_BYTES_MAX {
        return Err(format!(
            "picture {name}: more than {PICTURE_BYTES_MAX} bytes"
        ));
    }
    let kind = Kind::sniff(&bytes)
        .ok_or_else(|| format!("picture {name}: neither PNG, JPEG, WebP nor a plain SVG"))?;
    pictures::check(kind, &bytes).map_err(|refused| format!("picture {name}: {refused}"))?;
    Ok(Some((kind, bytes)))
}

/// What only the ledger knows: an inventory below what shows were given.
async fn check_against(
    records: &Records,
    seller: SellerId,
    products: &[Wanted],
) -> Result<(), Failure> {
    let mut complaints = Vec::new();
    for (line, sku) in products.iter().flat_map(|product| &product.skus) {
        if let Some(known) = records.ledger.sku_by_code(seller, &sku.code).await?
            && sku.inventory < known.allocated
        {
            complaints.push(format!(
                "row {line}: inventory: {} units are allocated to shows already",
                known.allocated
            ));
        }
    }
    complain(&complaints)
}

/// Pictures first: one that is kept twice is the same picture, and one that nobody shows is only
/// room. Then everything else at once.
async fn write(
    records: &Records,
    seller: SellerId,
    products: Vec<Wanted>,
) -> Result<Imported, Failure> {
    let now = Clock::system().now();
    let mut rows = Vec::with_capacity(products.len());
    for wanted in products {
        let picture = match wanted.picture {
            Some((kind, bytes)) => Some(keep(records, seller, kind, bytes).await?),
            None => None,
        };
        let product = ProductRow {
            id: ProductId::now(),
            seller,
            title: wanted.title,
            description: wanted.description,
            picture,
            skus: Vec::new(),
            created_at: now,
        };
        let skus = wanted.skus.into_iter().map(|(_, sku)| sku).collect();
        rows.push((product, skus));
    }
    Ok(records.ledger.import(seller, rows).await?)
}

async fn keep(
    records: &Records,
    seller: SellerId,
    kind: Kind,
    bytes: Vec<u8>,
) -> Result<PictureId, Failure> {
    let now = Clock::system().now();
    let (ledger, blobs) = (&*records.ledger, &*records.blobs);
    Ok(
        pictures::keep(ledger, blobs, now, seller, kind, bytes.into())
            .await?
            .id,
    )
}
