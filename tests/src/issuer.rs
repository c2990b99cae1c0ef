//! An issuer of tokens: it has real keys, signs whatever it is told to, and says its public keys over HTTP.
//!
//! Invariant: what it signs is signed by the rules, also where what is signed is not. What is deliberately absent: any
//! page on which somebody logs in.

use std::io::{BufRead, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A key that signs.
#[derive(Debug, Clone)]
pub struct SigningKey {
    /// What tokens call it.
    pub id: String,
    pair: Arc<Pair>,
}

#[derive(Debug)]
enum Pair {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl SigningKey {
    /// A new one for `RS256`, `ES256` or `EdDSA`.
    pub fn new(id: &str, algorithm: &str) -> Self {
        let pair = match algorithm {
            "RS256" => Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).expect("a key")),
            "ES256" => Pair::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key")),
            "EdDSA" => Pair::Ed25519(Ed25519KeyPair::generate().expect("a key")),
            other => panic!("no key for {other}"),
        };
        Self {
            id: id.to_owned(),
            pair: Arc::new(pair),
        }
    }

    /// The name of what it signs by.
    pub fn algorithm(&self) -> &'static str {
        match &*self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::P256(_) => "ES256",
            Pair::Ed25519(_) => "EdDSA",
        }
    }

    /// What everybody may know of it.
    pub fn public(&self) -> Value {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match &*self.pair {
            Pair::Rsa(pair) => {
                // RFC 8017: a sequence of two integers, of known lengths for 2,048 bits and the exponent 65,537.
                let der = pair.public_key().as_ref();
                let (n, e) = (
                    der.get(9..265).expect("a modulus"),
                    der.get(267..).expect("an exponent"),
                );
                json!({"kty": "RSA", "use": "sig", "kid": self.id, "n": text(n), "e": text(e)})
            }
            Pair::P256(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = point.get(1..).expect("a point").split_at(32);
                json!({"kty": "EC", "crv": "P-256", "kid": self.id, "x": text(x), "y": text(y)})
            }
            Pair::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "kid": self.id, "x": text(pair.public_key().as_ref())})
            }
        }
    }

    /// A token that says this.
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_under(&json!({"alg": self.algorithm(), "kid": self.id}), claims)
    }

    /// The same under another head.
    pub fn sign_under(&self, head: &Value, claims: &Value) -> String {
        let signed = unsigned(head, claims);
        let message = signed.as_bytes();
        let random = SystemRandom::new();
        let signature = match &*self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .expect("a signature");
                signature
            }
            Pair::P256(pair) => pair
                .sign(&random, message)
                .expect("a signature")
                .as_ref()
                .to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// What of a token is signed.
pub fn unsigned(head: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(head), part(claims))
}

/// The issuer. It ends with the process.
#[derive(Debug, Clone)]
pub struct TestIssuer {
    addr: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    keys: Vec<SigningKey>,
    is_down: bool,
    fetches: usize,
}

impl TestIssuer {
    /// Starts one with these keys.
    pub fn start(keys: &[SigningKey]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let issuer = Self {
            addr: listener.local_addr().expect("an address"),
            state: Arc::default(),
        };
        issuer.has(keys);
        let answering = issuer.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answering.answer(stream);
            }
        });
        issuer
    }

    /// Its address, which its tokens say as `iss`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Has these keys from now on, and no others.
    pub fn has(&self, keys: &[SigningKey]) {
        self.lock().keys = keys.to_vec();
    }

    /// Answers nothing of use from now on.
    pub fn breaks(&self) {
        self.lock().is_down = true;
    }

    /// How often its keys were fetched.
    pub fn fetches(&self) -> usize {
        self.lock().fetches
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, mut stream: TcpStream) {
        let Some(path) = asked(&stream) else { return };
        let mut state = self.lock();
        let (status, body) = match path.as_str() {
            _ if state.is_down => ("503 Service Unavailable", json!({})),
            "/.well-known/openid-configuration" => (
                "200 OK",
                json!({"issuer": self.url(), "jwks_uri": format!("{}/keys", self.url())}),
            ),
            "/keys" => {
                state.fetches += 1;
                let keys: Vec<Value> = state.keys.iter().map(SigningKey::public).collect();
                ("200 OK", json!({"keys": keys}))
            }
            _ => ("404 Not Found", json!({})),
        };
        drop(state);
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        // Whoever asked may be gone.
        stream.write_all(format!("{head}{body}").as_bytes()).ok();
    }
}

fn asked(stream: &TcpStream) -> Option<String> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    // To the end of the head, or the answer is lost with what nobody read.
    lines
        .find(|line| line.as_ref().is_ok_and(String::is_empty))?
        .ok()?;
    first.split(' ').nth(1).map(str::to_owned)
}
