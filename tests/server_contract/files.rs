//! The file server, as the SDK uses it.

use crate::client::Site;

fn multipart(name: &str, content: &str) -> (String, String) {
    let body = format!(
        "--XX\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"f\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n{content}\r\n--XX--\r\n"
    );
    ("multipart/form-data; boundary=XX".to_owned(), body)
}

async fn upload(site: &Site, name: &str, content: &str) -> u16 {
    let (kind, body) = multipart(name, content);
    let request = site.http.post(format!("{}/", site.server.files_url())).header("Content-Type", kind).body(body);
    request.send().await.expect("an answer").status().as_u16()
}

#[tokio::test]
async fn an_upload_comes_back_byte_for_byte_whole_and_in_part_until_it_is_deleted() {
    let site = Site::new().await;
    assert_eq!(upload(&site, "p q/t.1/artifacts/a/a.json", "{\"x\":1}").await, 200);
    let url = format!("{}/p%20q/t.1/artifacts/a/a.json", site.server.files_url());
    let get = || async { site.http.get(&url).send().await.expect("an answer") };
    assert_eq!(get().await.text().await.expect("text"), "{\"x\":1}");
    let head = site.http.head(&url).send().await.expect("an answer");
    assert_eq!((head.status().as_u16(), head.headers()["content-length"].to_str().expect("text")), (200, "7"));
    let part = site.http.get(&url).header("Range", "bytes=1-3").send().await.expect("an answer");
    assert_eq!((part.status().as_u16(), part.text().await.expect("text").as_str()), (206, "\"x\""));
    assert_eq!(site.http.delete(&url).send().await.expect("an answer").status().as_u16(), 200);
    assert_eq!(get().await.status().as_u16(), 404);
}

#[tokio::test]
async fn an_upload_larger_than_a_frameworks_default_limit_is_taken() {
    let site = Site::new().await;
    let content = "m".repeat(9 << 20);
    assert_eq!(upload(&site, "big/model.bin", &content).await, 200);
    let got = site.http.get(format!("{}/big/model.bin", site.server.files_url())).send().await.expect("an answer");
    assert_eq!(got.bytes().await.expect("bytes").len(), content.len());
}

#[tokio::test]
async fn no_path_leads_out_of_the_files_directory() {
    let site = Site::new().await;
    for name in ["../credentials.json", "a/../../credentials.json", "/../x"] {
        assert_eq!(upload(&site, name, "x").await, 400, "{name}");
    }
    for path in ["..%2fcredentials.json", "%2e%2e/credentials.json", "a/%2e%2e/%2e%2e/credentials.json"] {
        let url = format!("{}/{path}", site.server.files_url());
        let got = site.http.get(&url).send().await.expect("an answer");
        assert_eq!(got.status().as_u16(), 404, "{path}");
    }
}

#[tokio::test]
async fn a_page_in_a_browser_may_not_upload_or_read() {
    let site = Site::new().await;
    let (kind, body) = multipart("a/b", "x");
    let url = format!("{}/", site.server.files_url());
    let request = site.http.post(&url).header("Content-Type", kind).header("Origin", "http://evil.example").body(body);
    assert_eq!(request.send().await.expect("an answer").status().as_u16(), 403);
    let read = site.http.get(&url).send().await.expect("an answer");
    assert!(!read.headers().contains_key("access-control-allow-origin"));
}
