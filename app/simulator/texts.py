"""What reviewers and owners write, in many languages. All names are invented and obviously so."""

from typing import NamedTuple


class Phrases(NamedTuple):
    """Sentences of one language, each with the English that a machine would make of it ("" for English itself)."""

    praise: tuple[tuple[str, str], ...]
    doubt: tuple[tuple[str, str], ...]
    blame: tuple[tuple[str, str], ...]

    def of(self, rating: int) -> tuple[tuple[str, str], ...]:
        """The sentences that fit a rating from 1 to 5."""
        if rating >= 4:
            return self.praise
        return self.doubt if rating == 3 else self.blame


LANGUAGES: tuple[Phrases, ...] = (
    Phrases(
        (
            ("Friendly staff, spotless rooms and a fair price.", ""),
            ("Best coffee in town ☕️ – we'll be back!", ""),
            ('They said "no problem" and fixed it in ten minutes.', ""),
            ("Parking right in front, wheelchair access, quick service. 5/5 👍", ""),
        ),
        (("Good food, but we waited 40 minutes for a table.", ""), ("It's OK. Nothing more, nothing less.", "")),
        (("Rude at the desk & overpriced <never again>.", ""), ("Cold soup, warm beer.\nAvoid on Sundays!", "")),
    ),
    Phrases(
        (
            ("Sehr freundliche Bedienung, gern wieder!", "Very friendly service, gladly again!"),
            ("Größe passt, Qualität überzeugt.", "Size fits, quality convinces."),
        ),
        (("Ganz ordentlich, nur etwas laut.", "Quite decent, just a bit noisy."),),
        (("Leider eine große Enttäuschung.", "Unfortunately a big disappointment."),),
    ),
    Phrases(
        (
            ("Accueil chaleureux, cuisine délicieuse !", "Warm welcome, delicious food!"),
            ("Je recommande les yeux fermés 😍", "I recommend it with my eyes closed 😍"),
        ),
        (("Correct, sans plus.", "Fine, nothing more."),),
        (("Une heure d’attente… inadmissible.", "An hour's wait… unacceptable."),),
    ),
    Phrases(
        (
            ("¡Todo riquísimo y muy buena atención!", "Everything delicious and very good service!"),
            ("El mejor sitio del barrio 💃", "The best place in the neighborhood 💃"),
        ),
        (("Está bien, pero el baño necesita limpieza.", "It's fine, but the bathroom needs cleaning."),),
        (("Pésimo servicio, no vuelvo.", "Terrible service, I'm not coming back."),),
    ),
    Phrases(
        (
            ("Ótimo atendimento e preço justo.", "Great service and fair price."),
            ("Recomendo demais! 🇧🇷", "I highly recommend it! 🇧🇷"),
        ),
        (("Razoável, já foi melhor.", "Reasonable, it used to be better."),),
        (("Não gostei, demorou muito.", "I didn't like it, it took too long."),),
    ),
    Phrases(
        (
            ("Personale gentilissimo, torneremo!", "Very kind staff, we'll be back!"),
            ("Pizza ottima, anzi: perfetta 🍕", "Excellent pizza, indeed: perfect 🍕"),
        ),
        (("Così così, niente di speciale.", "So so, nothing special."),),
        (("Esperienza da dimenticare.", "An experience to forget."),),
    ),
    Phrases(
        (
            ("Очень вкусно и уютно, спасибо!", "Very tasty and cozy, thank you!"),
            ("Ок", "Ok"),
        ),
        (("Неплохо, но дорого.", "Not bad, but expensive."),),
        (("Ужасное обслуживание.", "Terrible service."),),
    ),
    Phrases(
        (
            ("Дуже привітний персонал!", "Very friendly staff!"),
            ("Все сподобалось, дякую 💙💛", "I liked everything, thank you 💙💛"),
        ),
        (("Нормально, але довго чекали.", "Fine, but we waited a long time."),),
        (("Не рекомендую.", "I do not recommend."),),
    ),
    Phrases(
        (
            ("とても親切な対応でした。また伺います。", "They were very kind. I will visit again."),
            ("雰囲気が良くて、料理も美味しい😋", "Nice atmosphere and delicious food 😋"),
        ),
        (("普通です。", "It's average."),),
        (("待ち時間が長すぎます。", "The waiting time is too long."),),
    ),
    Phrases(
        (
            ("服务很好,环境干净,推荐!", "Good service, clean environment, recommended!"),
            ("味道不错,下次还来。", "Tastes good, will come again next time."),
        ),
        (("一般般吧。", "So-so."),),
        (("态度太差了,不会再来。", "The attitude is terrible, won't come again."),),
    ),
    Phrases(
        (
            ("직원분들이 정말 친절해요 👏", "The staff are really kind 👏"),
            ("깨끗하고 조용해서 좋았습니다.", "It was nice because it was clean and quiet."),
        ),
        (("그냥 그래요.", "It's just okay."),),
        (("다시는 안 갈 거예요.", "I will never go again."),),
    ),
    Phrases(
        (
            ("مكان رائع وخدمة ممتازة 🌹", "Wonderful place and excellent service 🌹"),
            ("أنصح به وبشدة.", "I strongly recommend it."),
        ),
        (("لا بأس به.", "Not bad."),),
        (("تجربة سيئة للأسف.", "A bad experience, unfortunately."),),
    ),
    Phrases(
        (
            ("שירות מעולה ואווירה נעימה!", "Excellent service and pleasant atmosphere!"),
            ("ממליץ בחום ❤️", "Warmly recommend ❤️"),
        ),
        (("בסדר, לא יותר.", "Okay, no more."),),
        (("חבל על הזמן והכסף.", "A waste of time and money."),),
    ),
    Phrases(
        (
            ("बहुत बढ़िया सेवा, धन्यवाद 🙏", "Very good service, thank you 🙏"),
            ("खाना स्वादिष्ट था।", "The food was delicious."),
        ),
        (("ठीक-ठाक है।", "It's alright."),),
        (("बिल्कुल बेकार अनुभव।", "Absolutely useless experience."),),
    ),
    Phrases(
        (
            ("อาหารอร่อย บริการดีมาก", "The food is delicious, very good service"),
            ("ประทับใจค่ะ 😊", "Impressed 😊"),
        ),
        (("พอใช้ได้", "Passable"),),
        (("รอนานมาก ไม่แนะนำ", "Waited very long, not recommended"),),
    ),
    Phrases(
        (
            ("Çok ilgili ve güler yüzlü personel.", "Very attentive and cheerful staff."),
            ("Şiddetle tavsiye ederim!", "I strongly recommend it!"),
        ),
        (("İdare eder.", "It's passable."),),
        (("Iğdır’dan geldik, kapı kapalıydı.", "We came from Iğdır, the door was closed."),),
    ),
    Phrases(
        (
            ("Świetna obsługa, polecam każdemu!", "Great service, I recommend it to everyone!"),
            ("Pyszne pierogi 🥟", "Delicious dumplings 🥟"),
        ),
        (("Może być, szału nie ma.", "It's alright, nothing crazy."),),
        (("Żenada, źle i długo.", "Embarrassing, bad and long."),),
    ),
    Phrases(
        (
            ("Εξαιρετική εξυπηρέτηση!", "Excellent service!"),
            ("Πολύ όμορφος χώρος.", "Very beautiful space."),
        ),
        (("Μέτριο.", "Mediocre."),),
        (("Απαράδεκτη καθυστέρηση.", "Unacceptable delay."),),
    ),
    Phrases(
        (
            ("Nhân viên nhiệt tình, đồ ăn ngon.", "Enthusiastic staff, good food."),
            ("Sẽ quay lại lần nữa!", "Will come back again!"),
        ),
        (("Tạm được.", "Acceptable."),),
        (("Phục vụ quá chậm.", "Service is too slow."),),
    ),
    Phrases(
        (
            ("Heerlijk gegeten, topservice!", "Delicious food, top service!"),
            ("Gezellig, één aanrader.", "Cozy, a must."),
        ),
        (("Prima, maar aan de prijs.", "Fine, but pricey."),),
        (("Erg teleurgesteld.", "Very disappointed."),),
    ),
)

EMOJI_ONLY = (
    "👍",
    "⭐⭐⭐⭐⭐",
    "👨‍👩‍👧‍👦❤️",
    "😡",
    "🤷🏽‍♀️",
)  # with joiners and skin tones: more than one code point each

REPLIES = (
    "Thank you for your kind words, we hope to see you again soon!",
    "Vielen Dank für Ihre Bewertung 🙏",
    "Merci beaucoup, à très bientôt !",
    "¡Gracias por visitarnos!",
    "We are sorry to hear that. Please write to hello@example.com so that we can put it right.",
    "ご来店ありがとうございました。",
    "Obrigado pela avaliação.",
    "Дякуємо за відгук!",
)

POLICY_VIOLATIONS = ("OFF_TOPIC", "PERSONAL_INFO", "GIBBERISH_AND_REPETITIVE")

FIRST_NAMES = (
    "Testa", "Mock", "Fixtura", "Sample", "Dummy", "Plazio", "Örnek", "Þykjast", "Пример", "テスト", "示例", "예시",
    "مثال", "דוגמה", "उदाहरण", "ตัวอย่าง", "Παράδειγμα", "Exempla", "Voorbeeld", "Przykład", "Demo 🌻", "O'Stub",
)  # fmt: skip
LAST_NAMES = ("McFixture", "von Beispiel", "Placeholder", "Testowska", "Simulada", "D’Essai", "Stubbs", "Loremipsum")

TRADES = ("Café", "Bakery", "Hotel", "Dental Care", "Auto Service", "Bookshop", "Pharmacy", "Fitness")
TOWNS = (
    ("Example City", "US", "10001"), ("Beispielstadt", "DE", "10115"), ("Exempleville", "FR", "75001"),
    ("Ejemplar", "ES", "28001"), ("Esempio", "IT", "00118"), ("例の町", "JP", "100-0001"),
    ("Przykładowo", "PL", "00-001"), ("Örnekköy", "TR", "34000"),
)  # fmt: skip
