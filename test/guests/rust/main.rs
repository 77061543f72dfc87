//! A program made with the vendor's SDK for Rust: backends, streams, caches, stores, and what Rust's own runtime needs.
use fastly::cache::simple::{get_or_set_with, CacheEntry};
use fastly::experimental::dynamic_backend_healthchecks::HealthcheckBuilder;
use fastly::http::StatusCode;
use fastly::kv_store::KVStore;
use fastly::{Backend, ConfigStore, Error, Request, Response, SecretStore};
use std::io::Write;
use std::time::Duration;

fn main() -> Result<(), Error> {
    let request = Request::from_client();
    match request.get_path() {
        "/stream" => {
            let mut body = Response::from_status(StatusCode::CREATED).stream_to_client();
            for part in ["one ", "two ", "three"] {
                body.write_all(part.as_bytes())?;
            }
            body.finish()?;
        }
        _ => answer(request)?.send_to_client(),
    }
    Ok(())
}

fn answer(mut request: Request) -> Result<Response, Error> {
    Ok(match request.get_path() {
        "/" => Response::from_body(format!("{} from Rust", request.get_method())),
        "/environment" => Response::from_body(std::env::var("FASTLY_SERVICE_ID")?),
        "/send" => {
            let body = request.take_body();
            let mut answer = Request::post("http://origin.test/echo").with_body(body).send("origin")?;
            answer.set_header("x-by", "Rust");
            answer
        }
        "/dynamic" => {
            let target = request.get_header_str("x-target").unwrap_or_default();
            let check = HealthcheckBuilder::new("check.test").path("/up");
            let backend = Backend::builder("made", target).healthcheck(check).finish()?;
            Request::get("http://made.test/dynamic").send(backend)?
        }
        "/cache" => {
            let entry = || CacheEntry { value: "kept".into(), ttl: Duration::from_secs(60) };
            let first = get_or_set_with("key", || Ok(entry()))?.expect("a value").into_string();
            let second = get_or_set_with("key", || Ok(CacheEntry { value: "never".into(), ..entry() }))?;
            Response::from_body(format!("{first} {}", second.expect("a value").into_string()))
        }
        "/stores" => {
            let things = KVStore::open("things")?.expect("a store");
            things.insert("a", "by Rust")?;
            let kept = things.lookup("a")?.take_body().into_string();
            let greeting = ConfigStore::open("settings").get("greeting").unwrap_or_default();
            let token = SecretStore::open("vault")?.get("token").expect("a secret").plaintext();
            Response::from_body(format!("{kept}, {greeting}, {}", String::from_utf8_lossy(&token)))
        }
        "/log" => {
            println!("to standard output");
            writeln!(fastly::log::Endpoint::from_name("collector"), "to the collector")?;
            Response::from_body("logged")
        }
        "/panic" => panic!("as it was asked to"),
        _ => Response::from_status(StatusCode::NOT_FOUND),
    })
}
