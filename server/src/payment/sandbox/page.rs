//! The sandbox's pay page: a plain form without script in its own origin, in Italian or English.
//! It asks how the payment should end and never for a card number.

use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use serde::Deserialize;
use vetrina_protocol::money::Money;

use super::Sandbox;
use super::api::{Failure, IntentStatus};
use super::book::{Attempt, Ending, IntentRow};

const STYLE: &str = include_str!("page.css");

/// A slow payment succeeds after this time.
const SLOW_MS: i64 = 8_000;
/// A bank that never answers counts as a decline after this time.
const SILENT_MS: i64 = 20_000;
/// The bank's code may be entered for this long.
const VERIFY_MS: i64 = 300_000;
/// The code that the pretended bank sends.
const BANK_CODE: &str = "246810";

pub(super) fn routes(sandbox: Sandbox) -> Router {
    Router::new()
        .route("/pay/style.css", get(style))
        .route("/pay/{id}", get(show).post(choose))
        .with_state(sandbox)
}

async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE).into_response()
}

async fn show(
    State(sandbox): State<Sandbox>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let intent = sandbox
        .inner
        .book
        .intent(&id)
        .await?
        .ok_or(Failure::Unknown)?;
    Ok(page(&intent, Words::of(&headers), StatusCode::OK))
}

#[derive(Deserialize)]
struct Choice {
    choice: String,
    #[serde(default)]
    code: String,
}

async fn choose(
    State(sandbox): State<Sandbox>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Form(choice): Form<Choice>,
) -> Result<Response, Failure> {
    let attempt = match choice.choice.as_str() {
        "approve" => Attempt::Approve,
        "decline" => Attempt::Decline,
        "verify" => Attempt::Under {
            ending: Ending::Verify,
            for_ms: Some(VERIFY_MS),
        },
        "slow" => Attempt::Under {
            ending: Ending::Charge,
            for_ms: Some(SLOW_MS),
        },
        "timeout" => Attempt::Under {
            ending: Ending::Decline,
            for_ms: Some(SILENT_MS),
        },
        "late" => Attempt::Under {
            ending: Ending::ChargeAfterCancel,
            for_ms: None,
        },
        "code" if choice.code.trim() == BANK_CODE => Attempt::Approve,
        "code" => Attempt::Decline,
        _ => return Err(Failure::Rejected("choose one of the buttons")),
    };
    let intent = sandbox
        .inner
        .book
        .attempt(&id, attempt)
        .await?
        .ok_or(Failure::Unknown)?;
    sandbox.inner.due.notify_one();
    if matches!(intent.status, IntentStatus::Canceled) {
        return Ok(page(&intent, Words::of(&headers), StatusCode::CONFLICT));
    }
    Ok(Redirect::to(&format!("/pay/{id}")).into_response())
}

fn page(intent: &IntentRow, words: &Words, status: StatusCode) -> Response {
    let (body, refresh) = match (intent.status, intent.ending) {
        (IntentStatus::Succeeded, _) => (ended("good", words.paid, words.go_back), false),
        (IntentStatus::Canceled, _) => (ended("bad", words.closed, words.closed_detail), false),
        (IntentStatus::Processing, _) => (ended("wait", words.processing, words.wait), true),
        (_, Some(Ending::Verify)) => (verify_form(words), false),
        (_, Some(Ending::ChargeAfterCancel)) => {
            (ended("wait", words.late, words.late_detail), true)
        }
        (IntentStatus::Declined, _) => (
            format!(
                "<p class=\"bad\" role=\"alert\">{}</p>{}",
                words.declined,
                form(words)
            ),
            false,
        ),
        (IntentStatus::Open, _) => (form(words), false),
    };
    let refresh = if refresh {
        "<meta http-equiv=\"refresh\" content=\"2\">"
    } else {
        ""
    };
    let html = format!(
        "<!doctype html><html lang=\"{lang}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">{refresh}\
         <title>{title}</title><link rel=\"stylesheet\" href=\"/pay/style.css\"></head>\
         <body><main><p class=\"brand\">Sandbox Pay</p><h1>{amount}</h1>\
         <p class=\"what\">{what}</p>{body}<p class=\"note\">{note}</p></main></body></html>",
        lang = words.lang,
        title = words.title,
        amount = amount(intent.amount),
        what = escape(&intent.description),
        note = words.note,
    );
    let mut answer = (status, Html(html)).into_response();
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; form-action 'self'",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

fn form(words: &Words) -> String {
    let button = |choice: &str, class: &str, label: &str| {
        format!("<button class=\"{class}\" name=\"choice\" value=\"{choice}\">{label}</button>")
    };
    format!(
        "<form method=\"post\">{}{}<details><summary>{}</summary>{}{}{}{}</details></form>",
        button("approve", "main", words.approve),
        button("decline", "plain", words.decline),
        words.more,
        button("verify", "plain", words.verify),
        button("slow", "plain", words.slow),
        button("timeout", "plain", words.timeout),
        button("late", "plain", words.late_button),
    )
}

fn verify_form(words: &Words) -> String {
    format!(
        "<form method=\"post\"><label for=\"code\">{} <strong>{BANK_CODE}</strong></label>\
         <input id=\"code\" name=\"code\" inputmode=\"numeric\" autocomplete=\"off\" \
         maxlength=\"6\" required>\
         <button class=\"main\" name=\"choice\" value=\"code\">{}</button></form>",
        words.code, words.confirm
    )
}

fn ended(class: &str, headline: &str, detail: &str) -> String {
    format!("<p class=\"{class}\" role=\"status\">{headline}</p><p>{detail}</p>")
}

/// "24,00 EUR": digits by the currency's own number of decimals.
fn amount(money: Money) -> String {
    let decimals = iso_currency::Currency::from_code(money.currency.as_str())
        .and_then(iso_currency::Currency::exponent)
        .unwrap_or(2);
    let scale = 10_i64.pow(u32::from(decimals));
    let (whole, part) = (money.amount_minor / scale, money.amount_minor % scale);
    if decimals == 0 {
        format!("{whole} {}", money.currency)
    } else {
        format!(
            "{whole},{part:0width$} {}",
            money.currency,
            width = usize::from(decimals)
        )
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

struct Words {
    lang: &'static str,
    title: &'static str,
    approve: &'static str,
    decline: &'static str,
    more: &'static str,
    verify: &'static str,
    slow: &'static str,
    timeout: &'static str,
    late_button: &'static str,
    paid: &'static str,
    go_back: &'static str,
    closed: &'static str,
    closed_detail: &'static str,
    processing: &'static str,
    wait: &'static str,
    late: &'static str,
    late_detail: &'static str,
    declined: &'static str,
    code: &'static str,
    confirm: &'static str,
    note: &'static str,
}

impl Words {
    fn of(headers: &HeaderMap) -> &'static Self {
        let languages = headers
            .get(header::ACCEPT_LANGUAGE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        if languages
            .trim_start()
            .to_ascii_lowercase()
            .starts_with("it")
        {
            &ITALIAN
        } else {
            &ENGLISH
        }
    }
}

static ENGLISH: Words = Words {
    lang: "en",
    title: "Pay",
    approve: "Approve",
    decline: "Decline",
    more: "Other endings",
    verify: "Ask for the bank's code",
    slow: "Take eight seconds",
    timeout: "The bank does not answer",
    late_button: "Succeed after a cancellation",
    paid: "Paid",
    go_back: "You can go back to the show.",
    closed: "This payment is closed",
    closed_detail: "It cannot be paid any more. Nothing was charged here.",
    processing: "In progress",
    wait: "The bank is working on it.",
    late: "Waiting",
    late_detail: "It will be charged once the shop has given it up.",
    declined: "Declined. Nothing was charged; you can try again.",
    code: "Your bank sent you the code",
    confirm: "Confirm",
    note: "A test payment: no money moves.",
};

static ITALIAN: Words = Words {
    lang: "it",
    title: "Paga",
    approve: "Approva",
    decline: "Rifiuta",
    more: "Altri esiti",
    verify: "Chiedi il codice della banca",
    slow: "Metti otto secondi",
    timeout: "La banca non risponde",
    late_button: "Riesci dopo un annullamento",
    paid: "Pagato",
    go_back: "Puoi tornare alla diretta.",
    closed: "Questo pagamento è chiuso",
    closed_detail: "Non si può più pagare. Qui non è stato addebitato nulla.",
    processing: "In corso",
    wait: "La banca ci sta lavorando.",
    late: "In attesa",
    late_detail: "Sarà addebitato quando il negozio avrà rinunciato.",
    declined: "Rifiutato. Non è stato addebitato nulla; puoi riprovare.",
    code: "La tua banca ti ha mandato il codice",
    confirm: "Conferma",
    note: "Un pagamento di prova: non si muove denaro.",
};
