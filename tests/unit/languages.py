"""Small sets of bank customers' messages in six languages: four intents, four wordings each, four things each."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from purport import Example

Intents = dict[str, tuple[tuple[str, ...], tuple[str, ...]]]


@dataclass(frozen=True)
class Language:
    """``intents``: wordings with a gap, and what fills it. ``word`` and ``pair`` are words that must be found.

    ``same``: texts that say the same. ``different``: texts that differ by a mark or a letter only.
    """

    intents: Intents
    word: str
    pair: str
    same: tuple[str, ...]
    different: tuple[str, ...]

    def rows(self) -> list[Example]:
        """64 rows; each filling goes round the four wordings of its intent."""
        return [
            Example(wording.format(filling), (intent,))
            for intent, (wordings, fillings) in self.intents.items()
            for filling in fillings
            for wording in wordings
        ]


def decomposed(text: str) -> str:
    """``text`` with every accent as a character of its own."""
    return unicodedata.normalize("NFD", text)


LANGUAGES = {
    "hindi": Language(
        {
            "balance": (
                ("{} में कितने पैसे हैं", "{} का बैलेंस बताइए", "मुझे {} की शेष राशि जाननी है", "क्या {} में रकम बची है"),
                ("बचत खाते", "चालू खाते", "मेरे वॉलेट", "पुराने खाते"),
            ),
            "block": (
                ("मेरा {} खो गया", "{} तुरंत बंद करो", "किसी ने {} चुरा लिया", "{} ब्लॉक कैसे करूँ"),
                ("डेबिट कार्ड", "क्रेडिट कार्ड", "एटीएम कार्ड", "फोन"),
            ),
            "open": (
                ("नया {} खोलना है", "{} खोलने के लिए क्या चाहिए", "ऑनलाइन {} खुल सकता है", "{} का फॉर्म दीजिए"),
                ("बचत खाता", "संयुक्त खाता", "चालू खाता", "डीमैट खाता"),
            ),
            "transfer": (
                ("{} को पैसे भेजने हैं", "{} को भुगतान नहीं हुआ", "{} के नाम रकम ट्रांसफर करो", "{} तक पैसे कब पहुँचेंगे"),
                ("दोस्त", "माँ", "दुकानदार", "दूसरे बैंक"),
            ),
        },
        word="खाता",
        pair="का बैलेंस",
        same=("खाता खोलो", "खाता  खोलो।", "“खाता खोलो”?"),
        different=("खाता खोलो", "खाता खोला", "खाता खोली", "खत खोलो"),
    ),
    "thai": Language(
        {
            "balance": (
                ("ยอดเงินใน{}เหลือเท่าไหร่", "ขอดูยอด{}หน่อย", "เช็คเงิน{}ให้ที", "อยากรู้ยอดคงเหลือของ{}"),
                ("บัญชี", "บัตรเครดิต", "กระเป๋าเงิน", "กองทุน"),
            ),
            "block": (
                ("ช่วยระงับ{}ด่วน", "{}หายแล้วทำยังไง", "ขอปิดการใช้งาน{}", "{}ของฉันโดนขโมย"),
                ("บัตร", "บัตรเดบิต", "โทรศัพท์", "สมุดเช็ค"),
            ),
            "open": (
                ("อยากสมัคร{}ใหม่", "เปิด{}ต้องใช้เอกสารอะไร", "สมัคร{}ออนไลน์ได้ไหม", "ขอแบบฟอร์ม{}"),
                ("บัญชีออมทรัพย์", "บัญชีร่วม", "สินเชื่อ", "ประกัน"),
            ),
            "transfer": (
                ("โอนเงินไป{}ยังไง", "ส่งเงินให้{}ได้ไหม", "ค่าธรรมเนียมโอนไป{}", "โอนให้{}ไม่สำเร็จ"),
                ("เพื่อน", "แม่", "ธนาคารอื่น", "ต่างประเทศ"),
            ),
        },
        word="โอ",
        pair="บัญ",
        same=("บัญชี เปิด", "บัญชีเปิด", "บัญชี\u200bเปิด!"),
        different=("ป่า", "ป้า", "ปา", "เปิด", "เปื่อย"),
    ),
    "chinese": Language(
        {
            "balance": (
                ("{}里还有多少钱", "查一下{}余额", "我想知道{}剩多少", "{}的余额怎么看"),
                ("账户", "储蓄卡", "钱包", "基金"),
            ),
            "block": (
                ("我的{}丢了", "请马上冻结{}", "{}被偷了怎么办", "怎样挂失{}"),
                ("银行卡", "信用卡", "存折", "手机"),
            ),
            "open": (
                ("我要开{}", "开{}需要什么材料", "网上能办{}吗", "给我{}申请表"),
                ("新户", "联名户", "贷款", "保险"),
            ),
            "transfer": (
                ("怎么转账给{}", "给{}汇款要几天", "转给{}失败了", "汇到{}手续费多少"),
                ("朋友", "妈妈", "外地", "国外"),
            ),
        },
        word="转",
        pair="余额",
        same=("我要退款ＡＢＣ", "我要退款abc。", "我要 退款 ABC！"),
        different=("我要退款", "我要还款", "我要退货"),
    ),
    "arabic": Language(
        {
            "balance": (
                ("كم رصيد {}", "أريد معرفة المبلغ في {}", "هل بقي مال في {}", "اعرض لي {} كم فيه"),
                ("حسابي", "محفظتي", "حساب التوفير", "الصندوق"),
            ),
            "block": (
                ("فقدت {} اليوم", "أوقفوا {} فورا", "سرق أحدهم {}", "كيف ألغي {}"),
                ("بطاقتي", "هاتفي", "دفتر الشيكات", "بطاقة الصراف"),
            ),
            "open": (
                ("أود فتح {}", "ما شروط {} الجديد", "هل يمكن طلب {} عبر الإنترنت", "أعطني نموذج {}"),
                ("حساب مشترك", "حساب جار", "قرض", "تأمين"),
            ),
            "transfer": (
                ("حول المال إلى {}", "لم يصل التحويل إلى {}", "أرسل دفعة إلى {}", "رسوم الإرسال إلى {}"),
                ("صديقي", "أمي", "بنك آخر", "الخارج"),
            ),
        },
        word="حساب",
        pair="المال إلى",
        same=("حسابي مغلق", "حسابي مغلق؟", "\u200fحسابي مغلق،", "ﺣﺴﺎﺑﻲ مغلق"),
        different=("علم", "عِلم", "عَلَم", "علّم"),
    ),
    "vietnamese": Language(
        {
            "balance": (
                ("số dư {} còn bao nhiêu", "cho xem tiền trong {}", "kiểm tra {} giúp tôi", "{} của tôi còn gì không"),
                ("tài khoản", "ví điện tử", "sổ tiết kiệm", "quỹ"),
            ),
            "block": (
                ("tôi bị mất {}", "khóa {} ngay lập tức", "ai đó lấy cắp {}", "làm sao để hủy {}"),
                ("thẻ", "thẻ tín dụng", "điện thoại", "sổ séc"),
            ),
            "open": (
                ("tôi muốn mở {}", "mở {} cần giấy tờ gì", "đăng ký {} trực tuyến được không", "gửi mẫu đơn {}"),
                ("tài khoản mới", "tài khoản chung", "khoản vay", "bảo hiểm"),
            ),
            "transfer": (
                ("chuyển tiền cho {}", "{} chưa nhận được tiền", "phí gửi tới {} là mấy", "gửi cho {} bị lỗi"),
                ("bạn", "mẹ", "ngân hàng khác", "nước ngoài"),
            ),
        },
        word="tài",
        pair="tài khoản",
        same=("Tài khoản má", decomposed("tài khoản má"), "TÀI KHOẢN MÁ!"),
        different=("tài khoản ma", "tài khoản má", "tài khoản mạ", "tài khoản mả"),
    ),
    "turkish": Language(
        {
            "balance": (
                ("{} ne kadar para var", "{} bakiyeyi göster", "{} kalan tutarı istiyorum", "{} kaç lira kaldı"),
                ("hesabımda", "cüzdanımda", "vadeli hesapta", "fonda"),
            ),
            "block": (
                ("{} kayboldu", "{} hemen kapatın", "{} çalındı", "{} nasıl iptal ederim"),
                ("kartım", "kredi kartım", "telefonum", "çek defterim"),
            ),
            "open": (
                ("yeni {} açmak istiyorum", "{} için hangi belgeler gerekli", "{} başvurusu yap", "{} formu gönderin"),
                ("hesap", "ortak hesap", "kredi", "sigorta"),
            ),
            "transfer": (
                ("{} para gönder", "{} havale ulaşmadı", "{} ödeme ücreti nedir", "{} transfer başarısız"),
                ("İzmir'e", "anneme", "başka bankaya", "yurt dışına"),
            ),
        },
        word="istiyorum",
        pair="ortak hesap",
        same=("İstanbul'a havale", "istanbul’a havale", "İSTANBUL'A HAVALE!", decomposed("İstanbul'a havale")),
        different=("kız", "kiz", "ılık su", "ilik su", "sac", "saç"),
    ),
}
