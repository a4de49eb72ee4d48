//! Buckets as websites: pages, folders, errors, redirects.

use crate::support::{Call, Reply, World, call, delete, get, head, put};

const HOST: &str = "site.s3-website.localhost:9000";

const WEBSITE: &str = "<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix>\
     </IndexDocument><ErrorDocument><Key>error.html</Key></ErrorDocument></WebsiteConfiguration>";

/// A bucket whose objects everybody may read.
async fn site(configuration: &str) -> World {
    let world = World::new().await;
    world.succeed(put("/site", "")).await;
    world
        .succeed(put("/site?website", configuration.to_owned()))
        .await;
    world
}

async fn publish(world: &World, key: &str, body: &str) {
    let page = put(&format!("/site/{key}"), body.to_owned())
        .header("x-amz-acl", "public-read")
        .header("content-type", "text/html");
    world.succeed(page).await;
}

async fn visit_with(world: &World, call: Call) -> Reply {
    world.send_by(None, call.header("host", HOST)).await
}

async fn visit(world: &World, path: &str) -> Reply {
    visit_with(world, get(path)).await
}

#[tokio::test]
async fn configurations_are_kept_and_deleted() {
    let world = World::new().await;
    world.succeed(put("/site", "")).await;
    let absent = world.send(get("/site?website")).await;
    absent.refused(404, "NoSuchWebsiteConfiguration");
    world.succeed(put("/site?website", WEBSITE)).await.is(200);
    let kept = world.succeed(get("/site?website")).await;
    assert_eq!(kept.element("Suffix").as_deref(), Some("index.html"));
    assert_eq!(kept.element("Key").as_deref(), Some("error.html"));
    for (bad, code) in [
        ("<WebsiteConfiguration/>", "InvalidArgument"),
        ("<WebsiteConfiguration>", "MalformedXML"),
    ] {
        world
            .send(put("/site?website", bad))
            .await
            .refused(400, code);
    }
    assert_eq!(world.succeed(get("/site?website")).await.body, kept.body);
    world.succeed(delete("/site?website")).await.is(204);
    let page = visit(&world, "/").await.is(404);
    assert!(page.text().contains("NoSuchWebsiteConfiguration"));
    world.succeed(delete("/site?website")).await.is(204);
    world.succeed(head("/site")).await;
}

#[tokio::test]
async fn pages_folders_and_errors() {
    let world = site(WEBSITE).await;
    for (key, body) in [
        ("index.html", "home"),
        ("docs/index.html", "docs"),
        ("docs/a%20b.html", "a b"),
        ("error.html", "sorry"),
    ] {
        publish(&world, key, body).await;
    }
    world.succeed(put("/site/secret", "secret")).await;
    for (path, body) in [
        ("/", "home"),
        ("/index.html", "home"),
        ("/docs/", "docs"),
        ("/docs/a%20b.html", "a b"),
        ("/docs/?versionId=x&acl&response-content-type=a", "docs"),
    ] {
        let page = visit(&world, path).await.is(200).body_is(body.as_bytes());
        page.has("content-type", "text/html");
        let head = visit_with(&world, head(path)).await.is(200).body_is(b"");
        head.has("content-length", &body.len().to_string());
    }
    let folder = visit(&world, "/docs").await.is(302);
    folder.has("location", "/docs/").body_is(b"");
    // Who may not list the bucket does not learn what is missing.
    for path in ["/absent", "/secret", "/docs/absent/"] {
        let page = visit(&world, path).await.is(403).body_is(b"sorry");
        page.has("content-type", "text/html")
            .has("x-amz-error-code", "AccessDenied");
    }
    world
        .succeed(put("/site?acl", "").header("x-amz-acl", "public-read"))
        .await;
    let page = visit(&world, "/absent").await.is(404).body_is(b"sorry");
    page.has("x-amz-error-code", "NoSuchKey");
    visit_with(&world, head("/absent"))
        .await
        .is(404)
        .body_is(b"");
    let range = get("/index.html").header("range", "bytes=1-2");
    visit_with(&world, range).await.is(206).body_is(b"om");
    let etag = visit(&world, "/").await.header("etag").unwrap().to_owned();
    let known = get("/").header("if-none-match", &etag);
    visit_with(&world, known).await.is(304);
}

/// A path of two slashes would be another host's, and a backslash is a slash to browsers.
#[tokio::test]
async fn a_folder_is_no_other_host() {
    let world = site(WEBSITE).await;
    for (key, location) in [
        ("%2Fevil.com", "/%2Fevil.com/"),
        ("%2F%2Fevil.com", "/%2F/evil.com/"),
        ("%5Cevil.com", "/%5Cevil.com/"),
    ] {
        publish(&world, &format!("{key}/index.html"), "page").await;
        let folder = visit(&world, &format!("/{key}")).await.is(302);
        folder.has("location", location);
        // The key stays the same.
        visit(&world, location).await.is(200).body_is(b"page");
    }
    let folder = visit(&world, "//evil.com").await.is(302);
    folder.has("location", "/%2Fevil.com/");
}

#[tokio::test]
async fn errors_are_pages_without_markup_of_strangers() {
    let world = site(WEBSITE).await;
    world
        .succeed(put("/site?acl", "").header("x-amz-acl", "public-read"))
        .await;
    let page = visit(&world, "/%3Cscript%3E").await.is(404);
    let page = page.has("content-type", "text/html; charset=utf-8");
    let text = page.text();
    assert!(text.contains("<title>404 Not Found</title>"), "{text}");
    assert!(text.contains("Key: &lt;script&gt;"), "{text}");
    assert!(!text.contains("<script>"), "{text}");
    // The page for errors is missing as well.
    assert_eq!(text.matches("Code: NoSuchKey").count(), 2, "{text}");
    let put = visit_with(&world, put("/key", "body")).await.is(405);
    assert!(put.text().contains("MethodNotAllowed"));
    world.send(get("/site/key")).await.is(404);
    visit_with(&world, call("POST", "/", "")).await.is(405);
    let bucket = get("/").header("host", "absent.s3-website.localhost");
    let absent = world.send_by(None, bucket).await.is(404);
    assert!(absent.text().contains("NoSuchBucket"));
    visit(&world, "/%ff").await.is(400);
}

#[tokio::test]
async fn a_signature_changes_nothing() {
    let world = site(WEBSITE).await;
    world.succeed(put("/site/secret", "secret")).await;
    let signed = get("/secret").header("host", HOST);
    world.send(signed).await.is(403);
}

#[tokio::test]
async fn redirects_of_objects_are_for_websites_alone() {
    let world = site(WEBSITE).await;
    let location = "x-amz-website-redirect-location";
    let moved = put("/site/old", "")
        .header(location, "/new")
        .header("x-amz-acl", "public-read");
    world.succeed(moved).await;
    visit(&world, "/old")
        .await
        .is(301)
        .has("location", "/new")
        .body_is(b"");
    world
        .succeed(get("/site/old"))
        .await
        .is(200)
        .has(location, "/new");
    for bad in ["new", "ftp://example.com/"] {
        let refused = world.send(put("/site/bad", "").header(location, bad)).await;
        refused.refused(400, "InvalidRedirectLocation");
    }
}

#[tokio::test]
async fn everything_redirected() {
    let all = "<WebsiteConfiguration><RedirectAllRequestsTo><HostName>example.com</HostName>\
               <Protocol>https</Protocol></RedirectAllRequestsTo></WebsiteConfiguration>";
    let world = site(all).await;
    let reply = visit(&world, "/a%20b?c=d").await.is(301);
    reply.has("location", "https://example.com/a%20b?c=d");
}

#[tokio::test]
async fn routing_rules_before_and_after_an_error() {
    let rules = "<WebsiteConfiguration><IndexDocument><Suffix>i</Suffix></IndexDocument>\
        <RoutingRules><RoutingRule><Condition><KeyPrefixEquals>old/</KeyPrefixEquals></Condition>\
        <Redirect><ReplaceKeyPrefixWith>new/</ReplaceKeyPrefixWith></Redirect></RoutingRule>\
        <RoutingRule><Condition><HttpErrorCodeReturnedEquals>403</HttpErrorCodeReturnedEquals>\
        </Condition><Redirect><HostName>other.example.com</HostName><Protocol>https</Protocol>\
        <HttpRedirectCode>307</HttpRedirectCode><ReplaceKeyWith>gone</ReplaceKeyWith></Redirect>\
        </RoutingRule></RoutingRules></WebsiteConfiguration>";
    let world = site(rules).await;
    publish(&world, "old/page", "is not reached").await;
    publish(&world, "page", "page").await;
    let reply = visit(&world, "/old/page").await.is(301);
    reply.has("location", &format!("http://{HOST}/new/page"));
    visit(&world, "/page").await.is(200).body_is(b"page");
    let reply = visit(&world, "/absent").await.is(307);
    reply.has("location", "https://other.example.com/gone");
}

#[tokio::test]
async fn the_forms_of_the_host() {
    let world = site(WEBSITE).await;
    publish(&world, "index.html", "home").await;
    for host in [
        "site.s3-website.localhost",
        "SITE.S3-Website.localhost:80",
        "site.s3-website-eu-central-1.localhost",
    ] {
        let reply = world.send_by(None, get("/").header("host", host)).await;
        reply.is(200).body_is(b"home");
    }
    // The REST endpoint serves no pages.
    let rest = get("/").header("host", "site.localhost");
    world.send_by(None, rest).await.refused(403, "AccessDenied");
}

#[tokio::test]
async fn visitors_are_anonymous_whatever_they_send() {
    let world = site(WEBSITE).await;
    world.succeed(put("/site/page", "page")).await;
    let policy = |is_missing: bool| {
        format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Principal": "*",
                "Action": "s3:GetObject", "Resource": "arn:aws:s3:::site/*",
                "Condition": {{"Null": {{"s3:signatureversion": "{is_missing}"}}}}}}}}"#
        )
    };
    for (is_missing, expected) in [(true, 200), (false, 403)] {
        let set = put("/site?policy", policy(is_missing));
        world.send(set).await.is(204);
        let call = get("/page").header("authorization", "x");
        visit_with(&world, call).await.is(expected);
    }
}
